// The oracle: every operation written out in double precision, as slowly as its definition reads.
// N batch, C channels in, O channels out, Z Y X spatial axes; images have Z = 1.

import Backends
import Tensors

/// A plain array of doubles under a shape `[N, C, Z, Y, X]`.
struct NaiveArray {
  var shape: [Int]
  var values: [Double]

  init(shape: [Int]) {
    self.shape = shape
    values = Array(repeating: 0, count: shape.reduce(1, *))
  }

  init(_ array: NDArray<Float>) {
    shape = array.shape
    if shape.count == 4 { shape.insert(1, at: 2) }
    values = array.elements.map(Double.init)
  }

  subscript(_ n: Int, _ c: Int, _ z: Int, _ y: Int, _ x: Int) -> Double {
    get { values[(((n * shape[1] + c) * shape[2] + z) * shape[3] + y) * shape[4] + x] }
    set { values[(((n * shape[1] + c) * shape[2] + z) * shape[3] + y) * shape[4] + x] = newValue }
  }
}

/// Kernel, stride and padding as three axes.
struct NaiveGeometry {
  let kernel: [Int]
  let stride: [Int]
  let padding: [Int]

  init(_ geometry: ConvolutionGeometry) {
    func three(_ values: [Int], _ lead: Int) -> [Int] { values.count == 2 ? [lead] + values : values }
    kernel = three(geometry.kernel, 1)
    stride = three(geometry.stride, 1)
    padding = three(geometry.padding, 0)
  }
}

/// Calls `body` for every pair of output and input voxel that a kernel offset connects.
private func forEachTap(
  _ input: [Int], _ output: [Int], _ g: NaiveGeometry,
  _ body: (_ out: (Int, Int, Int), _ input: (Int, Int, Int), _ kernel: (Int, Int, Int)) -> Void
) {
  for z in 0..<output[2] {
    for y in 0..<output[3] {
      for x in 0..<output[4] {
        for kz in 0..<g.kernel[0] {
          for ky in 0..<g.kernel[1] {
            for kx in 0..<g.kernel[2] {
              let iz = z * g.stride[0] + kz - g.padding[0]
              let iy = y * g.stride[1] + ky - g.padding[1]
              let ix = x * g.stride[2] + kx - g.padding[2]
              guard (0..<input[2]).contains(iz), (0..<input[3]).contains(iy), (0..<input[4]).contains(ix)
              else { continue }
              body((z, y, x), (iz, iy, ix), (kz, ky, kx))
            }
          }
        }
      }
    }
  }
}

func naiveConvolution(_ source: NaiveArray, _ weight: NaiveArray, bias: [Double], _ g: NaiveGeometry)
  -> NaiveArray
{
  let extents: [Int] = (0..<3).map { (axis: Int) -> Int in
    (source.shape[2 + axis] + 2 * g.padding[axis] - g.kernel[axis]) / g.stride[axis] + 1
  }
  var result = NaiveArray(shape: [source.shape[0], weight.shape[0]] + extents)
  for n in 0..<source.shape[0] {
    for o in 0..<weight.shape[0] {
      for c in 0..<source.shape[1] {
        forEachTap(source.shape, result.shape, g) { out, input, k in
          let value: Double = source[n, c, input.0, input.1, input.2]
          let factor: Double = weight[o, c, k.0, k.1, k.2]
          result[n, o, out.0, out.1, out.2] += value * factor
        }
      }
    }
  }
  let voxels = extents.reduce(1, *)
  for i in result.values.indices { result.values[i] += bias[i / voxels % weight.shape[0]] }
  return result
}

/// The gradients of a convolution with respect to source and weight.
func naiveConvolutionGradients(
  _ gradient: NaiveArray, source: NaiveArray, weight: NaiveArray, _ g: NaiveGeometry
) -> (source: NaiveArray, weight: NaiveArray) {
  var bySource = NaiveArray(shape: source.shape)
  var byWeight = NaiveArray(shape: weight.shape)
  for n in 0..<source.shape[0] {
    for o in 0..<weight.shape[0] {
      for c in 0..<source.shape[1] {
        forEachTap(source.shape, gradient.shape, g) { out, input, k in
          let d = gradient[n, o, out.0, out.1, out.2]
          bySource[n, c, input.0, input.1, input.2] += d * weight[o, c, k.0, k.1, k.2]
          byWeight[o, c, k.0, k.1, k.2] += d * source[n, c, input.0, input.1, input.2]
        }
      }
    }
  }
  return (bySource, byWeight)
}

/// Transposed convolution with kernel = stride; weight `[C, O, kernel]`.
func naiveUpsampling(_ source: NaiveArray, _ weight: NaiveArray, bias: [Double]) -> NaiveArray {
  let k = Array(weight.shape.dropFirst(2))
  var result = NaiveArray(
    shape: [source.shape[0], weight.shape[1]] + (0..<3).map { source.shape[2 + $0] * k[$0] })
  for n in 0..<result.shape[0] {
    for o in 0..<result.shape[1] {
      for z in 0..<result.shape[2] {
        for y in 0..<result.shape[3] {
          for x in 0..<result.shape[4] {
            var sum = bias[o]
            for c in 0..<source.shape[1] {
              sum += source[n, c, z / k[0], y / k[1], x / k[2]] * weight[c, o, z % k[0], y % k[1], x % k[2]]
            }
            result[n, o, z, y, x] = sum
          }
        }
      }
    }
  }
  return result
}

/// Instance norm with affine parameters and leaky ReLU.
func naiveNormalization(
  _ source: NaiveArray, scale: [Double], shift: [Double], epsilon: Double, slope: Double
) -> NaiveArray {
  var result = source
  let voxels = source.shape.dropFirst(2).reduce(1, *)
  for plane in 0..<source.shape[0] * source.shape[1] {
    let range = plane * voxels..<(plane + 1) * voxels
    let mean = source.values[range].reduce(0, +) / Double(voxels)
    let variance = source.values[range].reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(voxels)
    let channel = plane % source.shape[1]
    for i in range {
      let z = (source.values[i] - mean) / (variance + epsilon).squareRoot() * scale[channel] + shift[channel]
      result.values[i] = z > 0 ? z : z * slope
    }
  }
  return result
}

/// The relative L2 distance between a result and the oracle.
func relativeError(_ result: NDArray<Float>, _ oracle: NaiveArray) -> Double {
  var (difference, norm) = (0.0, 0.0)
  for (a, b) in zip(result.elements, oracle.values) {
    difference += (Double(a) - b) * (Double(a) - b)
    norm += b * b
  }
  return (difference / max(norm, 1e-30)).squareRoot()
}

/// A float array of standard normal numbers.
func randomArray(_ shape: [Int], seed: Int) -> NDArray<Float> {
  var random = RandomSource(key: [seed])
  return NDArray(shape: shape, elements: (0..<shape.reduce(1, *)).map { _ in Float(random.normal()) })
}
