// What every segmentation network offers to training, inference and scripts.

package import Backends
package import Reporting
package import Tensors

/// A network from images to logits at one or more resolutions.
package protocol SegmentationNetwork: AnyObject {
  var backend: any Backend { get }
  /// Channels and axes of the images it takes.
  var inputChannelCount: Int { get }
  var dimensionCount: Int { get }
  /// Every learnable tensor once, in the order of nnU-Net's optimizer.
  var parameters: [Parameter] { get }
  /// What training moves without gradients, such as running statistics; kept with the weights.
  var buffers: [Parameter] { get }
  /// Resolutions with an output of their own.
  var headCount: Int { get }
  /// Logits of the first `headCount` resolutions, finest first, computed in the input's precision.
  /// - Shape: input `[N, C, spatial]`; outputs `[N, K, spatial / stride]`.
  func forward(_ input: Tensor, heads headCount: Int, on tape: Tape) throws -> [Variable]
}

extension SegmentationNetwork {
  /// Names under which nnU-Net's state dictionary lists a tensor besides its own.
  ///
  /// Every block lists its layers a second time by position, and the decoder lists the whole encoder.
  package func aliases(of name: String) -> [String] {
    guard let parameter = (parameters + buffers).first(where: { $0.name == name }) else { return [] }
    return aliases(of: parameter)
  }

  private func aliases(of parameter: Parameter) -> [String] {
    var names = [parameter.name]
    if let positional = parameter.positionalName { names.append(positional) }
    if parameter.name.hasPrefix("encoder.") { names += names.map { "decoder.\($0)" } }
    return Array(names.dropFirst())
  }

  /// Learnable numbers.
  package var parameterCount: Int { parameters.reduce(0) { $0 + $1.value.count } }

  /// The finest logits in the plain layout, without preparing a backward pass.
  package func predict(_ input: Tensor) throws -> Tensor {
    let tape = Tape(backend: backend, isRecording: false)
    let heads = try forward(input, heads: 1, on: tape)
    return backend.plain(heads[0].value)
  }

  /// Takes the values of a state dictionary; every parameter and buffer must be there with its shape.
  ///
  /// - Parameters:
  ///   - state: Names and values; names of no parameter are ignored, aliases must agree.
  ///   - source: The file, for errors.
  /// - Throws: A ``Diagnostic`` naming the first parameter that is missing, has another shape or several values.
  package func load(_ state: [String: NDArray<Float>], source: String) throws(Diagnostic) {
    try load(state, into: parameters + buffers, source: source)
  }

  /// Takes the values of a state dictionary for everything but the output heads, which stay as they are.
  ///
  /// - Parameters:
  ///   - state: Names and values; names of no parameter are ignored.
  ///   - source: The file, for errors.
  /// - Throws: A ``Diagnostic`` naming the first parameter that is missing or has another shape.
  package func loadPretrained(_ state: [String: NDArray<Float>], source: String) throws(Diagnostic) {
    try load(state, into: (parameters + buffers).filter { !$0.name.contains(".seg_layers.") }, source: source)
  }

  private func load(
    _ state: [String: NDArray<Float>], into parameters: [Parameter], source: String
  ) throws(Diagnostic) {
    for parameter in parameters {
      // PyTorch's oldest files do not count batches.
      if parameter.name.hasSuffix(".num_batches_tracked"), state[parameter.name] == nil { continue }
      guard let values = state[parameter.name] else {
        throw Diagnostic(
          "weights do not fit the network", at: source, expected: "a tensor named \(parameter.name)",
          found: nearestName(to: parameter.name, in: state.keys).map {
            "no such tensor; the nearest is \($0)"
          }
            ?? "no such tensor", remedy: "use weights trained with the same plans and configuration")
      }
      guard values.shape == parameter.value.shape else {
        throw Diagnostic(
          "weights do not fit the network", at: "\(source), \(parameter.name)",
          expected: "\(parameter.value.shape)",
          found: "\(values.shape)", remedy: "use weights trained with the same plans and configuration")
      }
      for alias in aliases(of: parameter) {
        guard let other = state[alias], other != values else { continue }
        throw Diagnostic(
          "two names of one tensor have different values", at: source,
          expected: "\(alias) as \(parameter.name)", found: "other numbers",
          remedy: "use a checkpoint as nnU-Net wrote it; this one was changed or damaged")
      }
    }
    for parameter in parameters { if let values = state[parameter.name] { parameter.assign(values) } }
  }

  /// The values of every parameter and buffer on the host, by name.
  package func stateDictionary() -> [(name: String, values: NDArray<Float>)] {
    (parameters + buffers).map { ($0.name, $0.value.hostArray) }
  }
}

/// Builds the network of an architecture with random weights.
///
/// - Parameters:
///   - spec: The architecture.
///   - inputChannelCount: Image channels.
///   - outputChannelCount: Labels with background, or regions.
///   - seed: Key of the random weights.
///   - backend: Where it computes.
package func makeNetwork(
  _ spec: ArchitectureSpec, inputChannelCount: Int, outputChannelCount: Int, seed: Int, backend: any Backend
) -> any SegmentationNetwork {
  switch spec.family {
  case .plainConvUNet:
    PlainConvUNet(
      spec, inputChannelCount: inputChannelCount, outputChannelCount: outputChannelCount, seed: seed,
      backend: backend)
  case .residualEncoderUNet:
    ResidualEncoderUNet(
      spec, inputChannelCount: inputChannelCount, outputChannelCount: outputChannelCount, seed: seed,
      backend: backend)
  }
}
