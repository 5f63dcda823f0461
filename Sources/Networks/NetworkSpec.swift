// Any network that an `architecture` entry of plans can describe: nnU-Net's families, or layers put together in a script.

package import Archives
package import Backends
package import Reporting

/// A network's description.
package enum NetworkSpec: Sendable, Equatable {
  case unet(ArchitectureSpec)
  case layers(LayerNetworkSpec)

  /// Reads the entry; `source` names the file in errors.
  package init(_ json: JSON, source: String) throws(Diagnostic) {
    if json["network_class_name"]?.string == LayerNetworkSpec.className {
      self = .layers(try LayerNetworkSpec(json, source: source))
    } else {
      self = .unet(try ArchitectureSpec(json, source: source))
    }
  }

  /// Builds the network with random weights, keyed by `seed`.
  package func makeNetwork(
    inputChannelCount: Int, outputChannelCount: Int, seed: Int, backend: any Backend
  ) throws(Diagnostic) -> any SegmentationNetwork {
    switch self {
    case .unet(let spec):
      Networks.makeNetwork(
        spec, inputChannelCount: inputChannelCount, outputChannelCount: outputChannelCount, seed: seed,
        backend: backend)
    case .layers(let spec):
      try LayerNetwork(
        spec, inputChannelCount: inputChannelCount, outputChannelCount: outputChannelCount, seed: seed,
        backend: backend)
    }
  }

  /// From one resolution with an output to the next, finest first, the steps by which targets become coarser; one entry
  /// more than there are outputs, as nnU-Net's strides have.
  package func supervisionStrides(of network: any SegmentationNetwork) -> [[Int]] {
    switch self {
    case .unet(let spec): return spec.strides
    case .layers:
      let scales = (network as? LayerNetwork)?.headScales ?? []
      guard let first = scales.first else { return [] }
      let ones = first.map { _ in 1 }
      return zip(scales, [ones] + scales).map { zip($0, $1).map { $0 / $1 } } + [ones]
    }
  }
}
