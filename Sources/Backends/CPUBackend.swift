// The CPU backend: oneDNN for convolutions, own kernels between them, activations blocked by channel throughout.

internal import CKernels
import Foundation
package import Tensors

/// Computes on the processor's cores.
package final class CPUBackend: Backend {
  package let pool = TensorPool()
  /// Weights in other layouts live as long as the weights: among the activations they would break up the room.
  package let weightPool = TensorPool()
  let context: OneDNNEngine
  /// Channels per block: 16 floats fill an AVX-512 register, 8 an AVX2 one.
  let block: Int
  /// The channels per block that suit this processor.
  package static let widestBlock = nnk_cpu_has_avx512() != 0 ? 16 : 8
  private var convolutions: [ConvolutionKey: Convolution] = [:]

  let convolutionForm: ConvolutionForm

  /// Prepares the processor; `threadCount` 0 takes every core.
  ///
  /// The environment's `LUNETTE_CONVOLUTIONS=direct` has convolutions computed by their definition. Blocks of 8 channels, as
  /// on a processor without AVX-512, can be asked for by tests.
  package init(threadCount: Int = 0, convolutionForm: ConvolutionForm? = nil, block: Int? = nil) throws {
    let isDirect = ProcessInfo.processInfo.environment["LUNETTE_CONVOLUTIONS"] == "direct"
    self.convolutionForm = convolutionForm ?? (isDirect ? .direct : .automatic)
    context = try OneDNNEngine()
    self.block = block ?? Self.widestBlock
    if threadCount > 0 { nnk_set_thread_count(Int32(threadCount)) }
  }

  package var name: String {
    let features = Self.processorFeatures.last ?? "baseline"
    let form = convolutionForm == .direct ? ", direct convolutions" : ""
    return "CPU, \(threadCount) threads, oneDNN \(OneDNNEngine.version), \(features)\(form)"
  }

  /// Threads in the pool shared by oneDNN and our own kernels.
  package var threadCount: Int { Int(nnk_thread_count()) }

  /// Vector extensions this processor offers, weakest first.
  package static var processorFeatures: [String] {
    var features: [String] = []
    if nnk_cpu_has_avx2() != 0 { features.append("AVX2") }
    if nnk_cpu_has_avx512() != 0 { features.append("AVX-512") }
    if nnk_cpu_has_avx512_bf16() != 0 { features.append("AVX-512 bf16") }
    if nnk_cpu_has_amx() != 0 { features.append("AMX bf16") }
    return features
  }

  var layout: TensorLayout { .channelBlocked(block) }

  func makeActivation(_ shape: [Int], _ precision: Precision) -> Tensor {
    Tensor(uninitialized: shape, precision: precision, layout: layout, pool: pool)
  }

  /// Blocks of channels that hold `channelCount` channels.
  func blocks(_ channelCount: Int) -> Int { (channelCount + block - 1) / block }

  package func plain(_ tensor: Tensor) -> Tensor {
    if tensor.layout == .plain, tensor.precision == .float32 { return tensor }
    let result = Tensor(uninitialized: tensor.shape, pool: pool)
    if tensor.layout == .plain {
      nnk_to_float32(tensor.storage.pointer, result.floats, tensor.count)
    } else {
      nnk_blocked_to_plain(
        tensor.storage.pointer, tensor.kernelType, result.floats, tensor.batchCount, tensor.channelCount,
        tensor.voxelCount, Int32(block))
    }
    return result
  }

  package func activation(_ tensor: Tensor, precision: Precision) -> Tensor {
    if tensor.layout != .plain, tensor.precision == precision { return tensor }
    let source = plain(tensor)
    defer { withExtendedLifetime(source) {} }
    let result = makeActivation(tensor.shape, precision)
    nnk_plain_to_blocked(
      source.floats, result.storage.pointer, result.kernelType, tensor.batchCount, tensor.channelCount,
      tensor.voxelCount, Int32(block))
    return result
  }

  package func converted(_ tensor: Tensor, to precision: Precision) -> Tensor {
    if tensor.precision == precision { return tensor }
    precondition(tensor.layout == .plain, "only plain tensors change their precision in place")
    if precision == .float32 { return plain(tensor) }
    let result = Tensor(uninitialized: tensor.shape, precision: precision, pool: pool)
    nnk_to_bfloat16(tensor.floats, result.storage.pointer, tensor.count)
    return result
  }

  package var supportedPrecisions: [Precision] {
    let isBoth = nnk_lanes_are_supported(NNK_BFLOAT16, Int32(block)) != 0
    return isBoth ? [.float32, .bfloat16] : [.float32]
  }

  package var trainingPrecision: Precision {
    block == 16 && nnk_cpu_prefers_bfloat16() != 0 ? .bfloat16 : .float32
  }

  /// Whether the processor has instructions for products of bfloat16; where not, it is only how activations are stored.
  static let multipliesBFloat16 = nnk_cpu_has_avx512_bf16() != 0

  /// The compiled convolution of a shape.
  func convolution(_ key: ConvolutionKey) throws -> Convolution {
    if let known = convolutions[key] { return known }
    let made = try Convolution(key, block: block, context: context, weightPool: weightPool)
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
      addend.shape == target.shape && addend.layout == target.layout && addend.precision == target.precision,
      "sums need equal shapes, layouts and precisions")
    nnk_add_into(
      target.storage.pointer, addend.storage.pointer, target.kernelType, target.storedCount)
  }

  package func concatenate(_ first: Tensor, _ second: Tensor) -> Tensor {
    precondition(
      first.spatialShape == second.spatialShape && first.precision == second.precision,
      "concatenation of \(first.precision) \(first.shape) and \(second.precision) \(second.shape)")
    var shape = first.shape
    shape[1] += second.shape[1]
    guard first.channelCount % block == 0 else { return concatenatePlain(first, second, shape) }
    let result = makeActivation(shape, first.precision)
    nnk_concatenate(
      first.storage.pointer, second.storage.pointer, result.storage.pointer, shape[0],
      first.storedByteCount / shape[0], second.storedByteCount / shape[0])
    return result
  }

  package func split(_ tensor: Tensor, firstChannelCount: Int) -> (first: Tensor, second: Tensor) {
    var shapes = (tensor.shape, tensor.shape)
    shapes.0[1] = firstChannelCount
    shapes.1[1] -= firstChannelCount
    guard firstChannelCount % block == 0 else { return splitPlain(tensor, shapes.0, shapes.1) }
    let parts = (makeActivation(shapes.0, tensor.precision), makeActivation(shapes.1, tensor.precision))
    let batch = tensor.batchCount
    nnk_split(
      tensor.storage.pointer, parts.0.storage.pointer, parts.1.storage.pointer, batch,
      parts.0.storedByteCount / batch, parts.1.storedByteCount / batch)
    return parts
  }

  /// Channels that do not fill a block go through the plain layout: small networks only.
  private func concatenatePlain(_ first: Tensor, _ second: Tensor, _ shape: [Int]) -> Tensor {
    let (a, b) = (plain(first), plain(second))
    defer { withExtendedLifetime((a, b)) {} }
    let result = Tensor(uninitialized: shape, pool: pool)
    nnk_concatenate(
      a.floats, b.floats, result.floats, shape[0], a.storedByteCount / shape[0],
      b.storedByteCount / shape[0])
    return activation(result, precision: first.precision)
  }

  private func splitPlain(_ tensor: Tensor, _ first: [Int], _ second: [Int]) -> (
    first: Tensor, second: Tensor
  ) {
    let whole = plain(tensor)
    defer { withExtendedLifetime(whole) {} }
    let parts = (Tensor(uninitialized: first, pool: pool), Tensor(uninitialized: second, pool: pool))
    let batch = tensor.batchCount
    nnk_split(
      whole.floats, parts.0.floats, parts.1.floats, batch, parts.0.storedByteCount / batch,
      parts.1.storedByteCount / batch)
    return (
      activation(parts.0, precision: tensor.precision), activation(parts.1, precision: tensor.precision)
    )
  }
}

extension Tensor {
  /// The precision as the kernels name it.
  var kernelType: nnk_type { precision == .float32 ? NNK_FLOAT32 : NNK_BFLOAT16 }
}
