// Where tests find files: fixtures inside the repository, and the larger goldens beside the checkout when they are there.

package import Foundation

/// Locations of golden files for tests.
package enum Goldens {
  /// The root of the checkout.
  package static let repository = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent()
    .deletingLastPathComponent()

  /// The folder of larger goldens and real scans beside the checkout, if this machine has it.
  package static let shared: URL? = {
    let url = repository.deletingLastPathComponent().appending(path: "shared")
    return FileManager.default.fileExists(atPath: url.appending(path: "golden").path) ? url : nil
  }()

  /// Whether the larger goldens are at hand; tests that need them are enabled by it and say so when skipped.
  package static var areAvailable: Bool { shared != nil }

  /// The reason shown for a test that was skipped because the larger goldens are absent.
  package static let absence = "the larger goldens (../shared) are not on this machine"

  /// A path below the folder of larger goldens; call only where ``areAvailable`` is true.
  package static func path(_ relative: String) -> URL {
    (shared ?? URL(filePath: "/nonexistent")).appending(path: relative)
  }

  /// A new empty folder for one test.
  package static func temporaryFolder(_ name: String = "lunette-test") throws -> URL {
    let url = FileManager.default.temporaryDirectory.appending(path: "\(name)-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    return url
  }
}
