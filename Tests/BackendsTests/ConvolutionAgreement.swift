// How far the three directions of a convolution are from their definition.

import Backends
import Tensors

/// Relative errors of a convolution with bias and of its gradients, from numbers that the precision holds exactly.
struct ConvolutionAgreement {
  var result, sourceGradient, weightGradient, biasGradient: Double

  init(_ c: ConvolutionCase, _ precision: Precision, on backend: CPUBackend, wantsBias: Bool = false) throws {
    let geometry = ConvolutionGeometry(kernel: c.kernel, stride: c.stride)
    func activation(_ tensor: Tensor) -> Tensor { backend.activation(tensor, precision: precision) }
    let source = exactNumbers(c.source, seed: 1, precision, on: backend)
    let weight = Tensor(randomArray([c.outputs, c.source[1]] + c.kernel, seed: 2), pool: backend.pool)
    let bias = Tensor(randomArray([c.outputs], seed: 3), pool: backend.pool)
    let naive = NaiveGeometry(geometry)
    let (wide, kernel) = (NaiveArray(source.hostArray), NaiveArray(weight.hostArray))
    let oracle = naiveConvolution(wide, kernel, bias: bias.hostArray.elements.map(Double.init), naive)
    let result = try backend.convolve(activation(source), weight: weight, bias: bias, geometry: geometry)
    let gradient = exactNumbers(result.shape, seed: 4, precision, on: backend)
    let expected = naiveConvolutionGradients(
      NaiveArray(gradient.hostArray), source: wide, weight: kernel, naive)
    let bySource = try backend.convolutionSourceGradient(
      activation(gradient), weight: weight, sourceShape: c.source, geometry: geometry)
    let byWeight = try backend.convolutionWeightGradient(
      activation(gradient), source: activation(source), weightShape: weight.shape, geometry: geometry,
      wantsBias: wantsBias)
    self.result = relativeError(backend.plain(result).hostArray, oracle)
    sourceGradient = relativeError(backend.plain(bySource).hostArray, expected.source)
    weightGradient = relativeError(byWeight.weight.hostArray, expected.weight)
    biasGradient =
      byWeight.bias.map { relativeError($0.hostArray, NaiveArray(channelSums(gradient.hostArray))) } ?? 0
  }
}

/// Random numbers that `precision` holds exactly, as a plain tensor of float32.
func exactNumbers(_ shape: [Int], seed: Int, _ precision: Precision, on backend: CPUBackend) -> Tensor {
  backend.converted(
    backend.converted(Tensor(randomArray(shape, seed: seed), pool: backend.pool), to: precision), to: .float32
  )
}

/// Sums over all but the second axis.
private func channelSums(_ array: NDArray<Float>) -> NDArray<Float> {
  let (channelCount, voxelCount) = (array.shape[1], array.shape.dropFirst(2).reduce(1, *))
  var sums = NDArray<Float>(shape: [channelCount], repeating: 0)
  for (i, value) in array.elements.enumerated() { sums.elements[i / voxelCount % channelCount] += value }
  return sums
}
