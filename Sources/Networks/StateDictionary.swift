// The weights under all the names of nnU-Net's state dictionary: its order, its aliases, and what may stand in one.

package import Reporting
package import Tensors

extension Parameter {
  /// Whether PyTorch keeps it as a whole number of 64 bits.
  package var isCount: Bool { name.hasSuffix(".num_batches_tracked") }

  /// What the names of a block of layers begin with; a layer without a block is one of its own.
  fileprivate var blockName: String {
    guard let positionalName, let range = positionalName.firstRange(of: ".all_modules.") else { return name }
    return String(positionalName[..<range.lowerBound])
  }

  /// The name without its last part.
  fileprivate var layerName: String { String(name[..<(name.lastIndex(of: ".") ?? name.endIndex)]) }
}

/// Parameters of the same key together, in the order in which the keys appear.
private func grouped(_ parameters: [Parameter], by key: (Parameter) -> String) -> [[Parameter]] {
  var places: [String: Int] = [:]
  var groups: [[Parameter]] = []
  for parameter in parameters {
    if let place = places[key(parameter)] {
      groups[place].append(parameter)
    } else {
      places[key(parameter)] = groups.count
      groups.append([parameter])
    }
  }
  return groups
}

extension SegmentationNetwork {
  /// Every name in the order in which nnU-Net's state dictionary has them, each with the tensor that it stands for.
  ///
  /// Every block lists its layers a second time by position, and the decoder lists the whole encoder.
  package var stateEntries: [(name: String, parameter: Parameter)] {
    var entries: [(name: String, parameter: Parameter)] = []
    for block in grouped(parameters + buffers, by: \.blockName) {
      // Running statistics follow the parameters of their own norm.
      let members = grouped(block, by: \.layerName).joined()
      entries += members.map { ($0.name, $0) }
      entries += members.compactMap { member in member.positionalName.map { ($0, member) } }
    }
    let encoder = entries.filter { $0.name.hasPrefix("encoder.") }
    return encoder + encoder.map { ("decoder.\($0.name)", $0.parameter) }
      + entries.filter { !$0.name.hasPrefix("encoder.") }
  }

  /// Takes the values of a state dictionary of nnU-Net, which must be this network's and no other's.
  ///
  /// - Throws: A ``Diagnostic`` for a tensor that is missing, has another shape or no place in this network, and for
  ///   names of one tensor that have different values.
  package func loadStrictly(
    _ state: [(name: String, tensor: NDArray<Float>)], source: String
  ) throws(Diagnostic) {
    let known = Set(stateEntries.map(\.name))
    var values: [String: NDArray<Float>] = [:]
    var unknown: [String] = []
    for (name, tensor) in state {
      // PyTorch's data-parallel wrapper puts this before every name.
      let bare = !known.contains(name) && name.hasPrefix("module.") ? String(name.dropFirst(7)) : name
      if known.contains(bare) { values[bare] = tensor } else { unknown.append(name) }
    }
    if let first = unknown.first {
      throw Diagnostic(
        "the checkpoint holds tensors that the network has no place for", at: source,
        expected: "the tensors of the architecture in the plans",
        found: "\(unknown.count) others, such as \(first)",
        remedy:
          "use the plans that the checkpoint was trained with; a trainer class may have changed the network")
    }
    try load(values, source: source)
  }
}
