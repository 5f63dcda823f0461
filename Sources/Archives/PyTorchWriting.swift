// Checkpoints as torch.save writes them: the pickled tree and, beside it, one member for each storage.

package import Foundation
package import Reporting
package import Tensors

/// The tensors of a checkpoint that is to be written, each in a storage of its own.
package struct PyTorchStorages {
  fileprivate enum Content {
    case floats([Float])
    case integers([Int64])
  }

  fileprivate var contents: [Content] = []

  package init() {}

  /// Adds a storage and gives the value that stands for it in the tree.
  ///
  /// The value may stand there several times; PyTorch then makes tensors that share their elements.
  package mutating func add(_ values: NDArray<Float>) -> PickleValue {
    append(.floats(values.elements), .float32, values.shape)
  }

  /// The same for whole numbers, which PyTorch keeps in 64 bits.
  package mutating func addIntegers(_ values: NDArray<Float>) -> PickleValue {
    append(.integers(values.elements.map { Int64($0) }), .int64, values.shape)
  }

  private mutating func append(_ content: Content, _ type: ElementType, _ shape: [Int]) -> PickleValue {
    contents.append(content)
    return .tensor(
      PickleTensor(
        storageKey: "\(contents.count - 1)", dataType: type, storageCount: shape.reduce(1, *), shape: shape,
        strides: rowMajorStrides(of: shape)))
  }
}

extension PyTorchCheckpoint {
  /// Storages begin at multiples of this, so that PyTorch can map them into memory.
  private static let alignment = 64

  /// Writes a checkpoint at once or not at all.
  ///
  /// - Parameters:
  ///   - root: What `torch.load` shall give; its tensors come from `storages`.
  ///   - storages: The tensors' elements.
  ///   - url: The file.
  /// - Source: the archive layout of `torch.save` since PyTorch 2.1; earlier ones leave members out.
  package static func write(_ root: PickleValue, _ storages: PyTorchStorages, to url: URL) throws(Diagnostic)
  {
    do {
      try ZipWriter.write(to: url) { writer in
        func add(_ name: String, _ bytes: UnsafeRawBufferPointer) throws {
          try writer.add("archive/\(name)", [bytes], isCompressed: false, alignment: alignment)
        }
        func add(_ name: String, _ text: String) throws {
          try Array(text.utf8).withUnsafeBytes { try add(name, $0) }
        }
        try PickleWriter.pickle(root, as: .checkpoint).withUnsafeBytes { try add("data.pkl", $0) }
        try add(".format_version", "1")
        try add(".storage_alignment", "\(alignment)")
        try add("byteorder", "little")
        for (i, content) in storages.contents.enumerated() {
          switch content {
          case .floats(let values): try values.withUnsafeBytes { try add("data/\(i)", $0) }
          case .integers(let values): try values.withUnsafeBytes { try add("data/\(i)", $0) }
          }
        }
        try add("version", "3\n")
      }
    } catch {
      throw (error as? Diagnostic)
        ?? Diagnostic("cannot write the checkpoint", at: url.path, found: "\(error)")
    }
  }
}
