// Names for contents: SHA-256, from libcrypto.

internal import CCrypto
package import Foundation

/// The SHA-256 of some bytes.
package struct ContentHash: Sendable, Hashable, CustomStringConvertible {
  private let digest: [UInt8]

  package init(_ data: some DataProtocol) {
    let bytes = Array(data)
    var digest = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
    _ = SHA256(bytes, bytes.count, &digest)
    self.digest = digest
  }

  /// The hash of bytes where they lie.
  package init(bytes: UnsafeRawBufferPointer) {
    var digest = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
    _ = SHA256(bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count, &digest)
    self.digest = digest
  }

  /// The hash of a JSON value, whatever the order of its keys.
  package init(_ json: JSON) { self.init(Data(json.text(indent: nil, sortedKeys: true).utf8)) }

  /// 64 hexadecimal digits.
  package var description: String {
    digest.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }

  /// The first eight hexadecimal digits, for folder names.
  package var short: String { String(description.prefix(8)) }
}
