// PyTorch's zip checkpoints as data: the pickled tree and the tensors it refers to.

package import Foundation
package import Reporting
package import Tensors

/// A checkpoint opened for reading; tensors are read when they are asked for.
///
/// - Source: the archive layout of `torch.save` since PyTorch 1.6.
package struct PyTorchCheckpoint: Sendable {
  /// Everything that was saved.
  package let root: PickleValue
  private let archive: ZipReader
  /// The folder inside the archive that holds all members.
  private let prefix: String

  /// The pickled tree may not be larger than this; tensors lie outside it.
  private static let maximumTreeByteCount = 1 << 26
  /// PyTorch does not compress; whoever did may not let a small file become a large tree.
  private static let maximumCompressedTreeByteCount = 1 << 24

  /// Opens a checkpoint and reads its tree, but no tensor.
  package static func read(_ url: URL) throws(Diagnostic) -> PyTorchCheckpoint { try PyTorchCheckpoint(url) }

  private init(_ url: URL) throws(Diagnostic) {
    let archive = try Self.openArchive(url)
    guard
      let tree = archive.entries.first(where: { $0.name == "data.pkl" || $0.name.hasSuffix("/data.pkl") }),
      tree.byteCount
        <= (tree.isCompressed ? Self.maximumCompressedTreeByteCount : Self.maximumTreeByteCount)
    else {
      throw Diagnostic(
        "not a PyTorch checkpoint", at: url.path, expected: "a member data.pkl of reasonable size",
        found: "\(archive.entries.count) other members", remedy: "give a .pth file that nnU-Net v2 wrote")
    }
    prefix = String(tree.name.dropLast("data.pkl".count))
    if let order = archive.entry(named: prefix + "byteorder"), order.byteCount < 16,
      try archive.data(of: order) != Array("little".utf8)
    {
      throw Diagnostic(
        "the checkpoint was written on a big-endian machine", at: url.path, expected: "byteorder little",
        found: "another", remedy: "save it again on a little-endian machine")
    }
    root = try PickleReader.read(try archive.data(of: tree), source: "\(url.path), \(tree.name)")
    self.archive = archive
  }

  private static func openArchive(_ url: URL) throws(Diagnostic) -> ZipReader {
    do { return try ZipReader(url) } catch {
      guard let start = try? FileHandle(forReadingFrom: url).read(upToCount: 2), start.first == 0x80 else {
        throw error
      }
      throw Diagnostic(
        "the checkpoint is of PyTorch's old form", at: url.path,
        expected: "a zip archive (PyTorch 1.6 or later)",
        found: "a bare pickle", remedy: "load it in PyTorch and save it again with torch.save")
    }
  }

  /// The elements of one tensor in C order.
  package func values(of tensor: PickleTensor) throws(Diagnostic) -> NDArray<Float> {
    var storages: [String: [Float]] = [:]
    return try values(of: tensor, &storages)
  }

  private func values(
    of tensor: PickleTensor, _ storages: inout [String: [Float]]
  ) throws(Diagnostic) -> NDArray<Float> {
    let storage: [Float]
    if let known = storages[tensor.storageKey], known.count == tensor.storageCount {
      storage = known
    } else {
      storage = try readStorage(tensor)
      storages[tensor.storageKey] = storage
    }
    let isWhole =
      tensor.offset == 0 && tensor.count == storage.count
      && tensor.strides == rowMajorStrides(of: tensor.shape)
    if isWhole { return NDArray(shape: tensor.shape, elements: storage) }
    return NDArray(shape: tensor.shape, elements: Self.gather(tensor, from: storage))
  }

  private func readStorage(_ tensor: PickleTensor) throws(Diagnostic) -> [Float] {
    let name = "\(prefix)data/\(tensor.storageKey)"
    let (size, overflow) = tensor.storageCount.multipliedReportingOverflow(by: tensor.dataType.byteCount)
    guard let entry = archive.entry(named: name), !overflow, entry.byteCount == size else {
      throw Diagnostic(
        "a tensor's data are missing from the checkpoint", at: archive.file.path,
        expected: "member \(name) with \(tensor.storageCount) elements of \(tensor.dataType)",
        found: archive.entry(named: name).map { "\($0.byteCount) bytes" } ?? "no such member",
        remedy: "copy the checkpoint again")
    }
    let bytes = try archive.data(of: entry)
    return bytes.withUnsafeBytes { ElementReader(tensor.dataType, $0, count: tensor.storageCount).floats() }
  }

  /// The elements of a strided view; the tree's reader has checked that they lie inside the storage.
  private static func gather(_ tensor: PickleTensor, from storage: [Float]) -> [Float] {
    var values: [Float] = []
    values.reserveCapacity(tensor.count)
    guard tensor.count > 0 else { return values }
    var index = Array(repeating: 0, count: tensor.shape.count)
    var position = tensor.offset
    while true {
      values.append(storage[position])
      var axis = index.count - 1
      while axis >= 0 {
        index[axis] += 1
        position += tensor.strides[axis]
        if index[axis] < tensor.shape[axis] { break }
        position -= tensor.strides[axis] * tensor.shape[axis]
        index[axis] = 0
        axis -= 1
      }
      if axis < 0 { return values }
    }
  }
}

// MARK: - State dictionaries

extension PyTorchCheckpoint {
  /// Whether names that share a tensor all appear, or only the first of them.
  package enum Aliases: Sendable {
    case kept
    case removed
  }

  /// The network's weights by name in the order of the file: `network_weights`, or the whole checkpoint if it is a
  /// bare state dictionary.
  package func stateDictionary(
    aliases: Aliases = .kept
  ) throws(Diagnostic) -> [(name: String, tensor: NDArray<Float>)] {
    let weights = root["network_weights"] ?? root
    guard let dictionary = weights.dictionary, !dictionary.pairs.isEmpty else {
      throw Diagnostic(
        "the checkpoint holds no weights", at: archive.file.path,
        expected: "a dictionary with network_weights, or tensors by name",
        found: root.dictionary.map { "the keys \($0.keys.prefix(8).joined(separator: ", "))" }
          ?? "another value",
        remedy: "give a checkpoint_*.pth of nnU-Net v2, or a saved state_dict")
    }
    var storages: [String: [Float]] = [:]
    var seen: [String: [(PickleTensor, NDArray<Float>)]] = [:]
    var result: [(name: String, tensor: NDArray<Float>)] = []
    for (key, value) in dictionary.pairs {
      guard let name = key.string, let tensor = value.tensor else {
        throw Diagnostic(
          "the checkpoint's weights are not all tensors", at: archive.file.path, expected: "tensors by name",
          found: "another value\(key.string.map { " under \($0)" } ?? "")",
          remedy: "give a checkpoint_*.pth of nnU-Net v2, or a saved state_dict")
      }
      if let twin = seen[tensor.storageKey]?.first(where: { $0.0 == tensor }) {
        if aliases == .kept { result.append((name, twin.1)) }
        continue
      }
      let values = try values(of: tensor, &storages)
      seen[tensor.storageKey, default: []].append((tensor, values))
      result.append((name, values))
    }
    return result
  }

  /// The weights inside a checkpoint file; see ``stateDictionary(aliases:)``.
  package static func stateDictionary(
    of url: URL, aliases: Aliases = .kept
  ) throws(Diagnostic) -> [(name: String, tensor: NDArray<Float>)] {
    try read(url).stateDictionary(aliases: aliases)
  }
}
