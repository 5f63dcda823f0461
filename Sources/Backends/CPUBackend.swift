// The CPU backend: oneDNN for convolutions, own kernels between them, activations blocked by channel throughout.

internal import CKernels
package import Tensors

/// Computes on the processor's cores.
package final class CPUBackend: Backend {
  package let pool = TensorPool()
  let context: OneDNNEngine
  /// Channels per block: 16 floats fill an AVX-512 register, 8 an AVX2 one.
  let block: Int
  private var convolutions: [ConvolutionKey: Convolution] = [:]

  /// Prepares the processor; `threadCount` 0 takes every core.
  package init(threadCount: Int = 0) throws {
    context = try OneDNNEngine()
    block = nnk_cpu_has_avx512() != 0 ? 16 : 8
    if threadCount > 0 { nnk_set_thread_count(Int32(threadCount)) }
  }

  package var name: String {
    let features = Self.processorFeatures.last ?? "baseline"
    return "CPU, \(threadCount) threads, oneDNN \(OneDNNEngine.version), \(features)"
  }

  /// Threads in the pool shared by oneDNN and our own kernels.
  package var threadCount: Int { Int(nnk_thread_count()) }

  /// Vector extensions this processor offers, weakest first.
  package static var processorFeatures: [String] {
    var features: [String] = []
    if nnk_cpu_has_avx2() != 0 { features.append("AVX2") }
    if nnk_cpu_has_avx512() != 0 { features.append("AVX-512") }
    if nnk_cpu_has_avx512_bf16() != 0 { features.append("AVX-512 bf16") }
    return features
  }

  var layout: TensorLayout { .channelBlocked(block) }

  func makeActivation(_ shape: [Int]) -> Tensor { Tensor(uninitialized: shape, layout: layout, pool: pool) }

  /// Blocks of channels that hold `channelCount` channels.
  func blocks(_ channelCount: Int) -> Int { (channelCount + block - 1) / block }

  package func plain(_ tensor: Tensor) -> Tensor {
    if tensor.layout == .plain { return tensor }
    let result = Tensor(uninitialized: tensor.shape, pool: pool)
    nnk_blocked_to_plain(
      tensor.floats, result.floats, tensor.batchCount, tensor.channelCount, tensor.voxelCount, Int32(block))
    return result
  }

  package func activation(_ tensor: Tensor) -> Tensor {
    if tensor.layout != .plain { return tensor }
    let result = makeActivation(tensor.shape)
    nnk_plain_to_blocked(
      tensor.floats, result.floats, tensor.batchCount, tensor.channelCount, tensor.voxelCount, Int32(block))
    return result
  }

  /// The compiled convolution of a shape.
  func convolution(_ key: ConvolutionKey) throws -> Convolution {
    if let known = convolutions[key] { return known }
    let made = try Convolution(key, block: block, context: context)
    convolutions[key] = made
    return made
  }

  /// The oneDNN implementations chosen so far, one line per convolution shape; for benchmarks.
  package func implementationReport() -> [String] {
    convolutions.map { key, convolution in
      let names = (try? convolution.implementations()) ?? ["refused"]
      return "\(key.sourceShape) to \(key.outputChannelCount), kernel \(key.geometry.kernel), stride "
        + "\(key.geometry.stride): \(names.joined(separator: ", "))"
    }.sorted()
  }

  package func add(_ addend: Tensor, into target: Tensor) {
    precondition(
      addend.shape == target.shape && addend.layout == target.layout, "sums need equal shapes and layouts")
    nnk_add_into(target.floats, addend.floats, target.storedCount)
  }

  package func concatenate(_ first: Tensor, _ second: Tensor) -> Tensor {
    precondition(
      first.spatialShape == second.spatialShape, "concatenation of \(first.shape) and \(second.shape)")
    var shape = first.shape
    shape[1] += second.shape[1]
    guard first.channelCount % block == 0 else { return concatenatePlain(first, second, shape) }
    let result = makeActivation(shape)
    nnk_concatenate(
      first.floats, second.floats, result.floats, shape[0], first.storedCount / shape[0],
      second.storedCount / shape[0])
    return result
  }

  package func split(_ tensor: Tensor, firstChannelCount: Int) -> (first: Tensor, second: Tensor) {
    var shapes = (tensor.shape, tensor.shape)
    shapes.0[1] = firstChannelCount
    shapes.1[1] -= firstChannelCount
    guard firstChannelCount % block == 0 else { return splitPlain(tensor, shapes.0, shapes.1) }
    let parts = (makeActivation(shapes.0), makeActivation(shapes.1))
    let batch = tensor.batchCount
    nnk_split(
      tensor.floats, parts.0.floats, parts.1.floats, batch, parts.0.storedCount / batch,
      parts.1.storedCount / batch)
    return parts
  }

  /// Channels that do not fill a block go through the plain layout: small networks only.
  private func concatenatePlain(_ first: Tensor, _ second: Tensor, _ shape: [Int]) -> Tensor {
    let (a, b) = (plain(first), plain(second))
    defer { withExtendedLifetime((a, b)) {} }
    let result = Tensor(uninitialized: shape, pool: pool)
    nnk_concatenate(a.floats, b.floats, result.floats, shape[0], a.count / shape[0], b.count / shape[0])
    return activation(result)
  }

  private func splitPlain(_ tensor: Tensor, _ first: [Int], _ second: [Int]) -> (
    first: Tensor, second: Tensor
  ) {
    let whole = plain(tensor)
    defer { withExtendedLifetime(whole) {} }
    let parts = (Tensor(uninitialized: first, pool: pool), Tensor(uninitialized: second, pool: pool))
    let batch = tensor.batchCount
    nnk_split(
      whole.floats, parts.0.floats, parts.1.floats, batch, parts.0.count / batch, parts.1.count / batch)
    return (activation(parts.0), activation(parts.1))
  }

  package func norm(of tensors: [Tensor]) -> Double {
    tensors.reduce(0) { $0 + nnk_sum_of_squares($1.floats, $1.storedCount) }.squareRoot()
  }

  package func descend(_ parameter: Tensor, gradient: Tensor, momentum: Tensor, step: DescentStep) {
    nnk_sgd(
      parameter.floats, gradient.floats, momentum.floats, parameter.count, step.learningRate, step.momentum,
      step.weightDecay, step.gradientScale, step.usesNesterov ? 1 : 0, step.isFirst ? 1 : 0)
    parameter.storage.version += 1
  }
}
