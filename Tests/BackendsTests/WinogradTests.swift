// Convolutions in Winograd's form against their definition, over shapes that fill tiles and blocks and that do not.

import Backends
import Tensors
import Testing

/// Sums of float32 with a few additions more than the plain form has.
private let floatTolerance = 4e-6
/// Transformed sources and weights are rounded to eight bits, and the result is.
private let halfTolerance = 8e-3

/// Channels per block that this processor has kernels for.
private let blocks =
  (CPUBackend.processorFeatures.contains("AVX-512") ? [16] : [])
  + (CPUBackend.processorFeatures.contains("AVX2") ? [8] : [])

@Suite(.serialized, .enabled(if: !blocks.isEmpty, "this processor has no AVX2"))
struct WinogradTests {
  private func backend(_ block: Int) throws -> CPUBackend {
    try CPUBackend(convolutionForm: .winograd, block: block)
  }

  static let convolutions = [
    ConvolutionCase(source: [2, 16, 3, 4, 6], outputs: 32, kernel: [3, 3, 3], stride: [1, 1, 1]),
    // Odd extents, channels that fill no block, an odd number of blocks on either side.
    ConvolutionCase(source: [3, 20, 5, 7, 9], outputs: 40, kernel: [3, 3, 3], stride: [1, 1, 1]),
    ConvolutionCase(source: [1, 33, 2, 5, 11], outputs: 5, kernel: [1, 3, 3], stride: [1, 1, 1]),
    ConvolutionCase(source: [2, 17, 13, 31], outputs: 48, kernel: [3, 3], stride: [1, 1]),
    // A single voxel in the plane, a single plane.
    ConvolutionCase(source: [2, 16, 4, 1, 1], outputs: 16, kernel: [3, 3, 3], stride: [1, 1, 1]),
    ConvolutionCase(source: [1, 16, 1, 6, 5], outputs: 16, kernel: [3, 3, 3], stride: [1, 1, 1]),
    // Planes so large that they are worked off in bands; so many planes that threads share them.
    ConvolutionCase(source: [1, 64, 2, 40, 50], outputs: 16, kernel: [3, 3, 3], stride: [1, 1, 1]),
    ConvolutionCase(source: [1, 16, 21, 6, 6], outputs: 16, kernel: [3, 3, 3], stride: [1, 1, 1]),
  ]

  @Test("In float32, all three directions agree with the definition", arguments: convolutions, blocks)
  func float32(_ c: ConvolutionCase, _ block: Int) throws {
    let found = try ConvolutionAgreement(c, .float32, on: backend(block))
    #expect(found.result < floatTolerance)
    #expect(found.sourceGradient < floatTolerance)
    #expect(found.weightGradient < floatTolerance)
  }

  @Test("In bfloat16, they agree to the rounding of tiles", arguments: convolutions, blocks)
  func bfloat16(_ c: ConvolutionCase, _ block: Int) throws {
    let backend = try backend(block)
    guard backend.supportedPrecisions.contains(.bfloat16) else { return }
    let found = try ConvolutionAgreement(c, .bfloat16, on: backend)
    #expect(found.result < halfTolerance)
    #expect(found.sourceGradient < halfTolerance)
    #expect(found.weightGradient < halfTolerance)
  }

  @Test("Lanes beyond the channels stay zero", arguments: blocks)
  func padding(_ block: Int) throws {
    let backend = try backend(block)
    let source = backend.activation(
      Tensor(randomArray([1, 16, 2, 6, 6], seed: 1), pool: backend.pool), precision: .float32)
    let weight = Tensor(randomArray([20, 16, 3, 3, 3], seed: 2), pool: backend.pool)
    let result = try backend.convolve(
      source, weight: weight, bias: nil,
      geometry: ConvolutionGeometry(kernel: [3, 3, 3], stride: [1, 1, 1]))
    let lanes = UnsafeBufferPointer(start: result.floats, count: result.storedCount)
    let last = lanes.suffix(block * result.voxelCount)
    #expect(last.enumerated().allSatisfy { $0.offset % block < 4 || $0.element == 0 })
    #expect(last.contains { $0 != 0 })
    withExtendedLifetime(result) {}
  }

  @Test("Only large enough convolutions of stride 1 are computed so")
  func selection() {
    func shape(_ source: [Int], _ outputs: Int, _ kernel: [Int], _ stride: Int = 1) -> WinogradShape? {
      WinogradShape(
        sourceShape: source, outputChannelCount: outputs,
        geometry: ConvolutionGeometry(kernel: kernel, stride: kernel.map { _ in stride }))
    }
    #expect(shape([9, 32, 40, 56, 40], 32, [3, 3, 3])?.suitsWeightGradient == true)
    #expect(shape([2, 320, 8, 8, 8], 320, [3, 3, 3])?.suitsWeightGradient == false)
    #expect(shape([9, 32, 40, 56, 40], 32, [3, 3, 3], 2) == nil)
    #expect(shape([9, 32, 40, 56, 40], 32, [1, 1, 1]) == nil)
    #expect(shape([9, 32, 40, 56, 40], 32, [3, 1, 3]) == nil)
    #expect(shape([2, 8, 16, 24, 16], 8, [3, 3, 3]) == nil, "too little work")
    #expect(
      WinogradShape(
        sourceShape: [9, 32, 40, 56, 40], outputChannelCount: 32,
        geometry: ConvolutionGeometry(kernel: [3, 3, 3], stride: [1, 1, 1]), form: .direct) == nil)
  }

  @Test("Packed weights follow an update, and either direction finds its own", arguments: blocks)
  func updates(_ block: Int) throws {
    let backend = try backend(block)
    let geometry = ConvolutionGeometry(kernel: [3, 3], stride: [1, 1])
    let source = backend.activation(
      Tensor(randomArray([1, 16, 6, 6], seed: 1), pool: backend.pool), precision: .float32)
    let weight = Tensor(randomArray([16, 16, 3, 3], seed: 2), pool: backend.pool)
    func forward() throws -> NDArray<Float> {
      backend.plain(try backend.convolve(source, weight: weight, bias: nil, geometry: geometry)).hostArray
    }
    let before = try forward()
    _ = try backend.convolutionSourceGradient(
      source, weight: weight, sourceShape: source.shape, geometry: geometry)
    #expect(try forward() == before)
    weight.floats.update(repeating: 0, count: weight.count)
    weight.storage.version += 1
    #expect(before.elements.contains { abs($0) > 0.1 })
    #expect(try forward().elements.allSatisfy { $0 == 0 })
  }
}
