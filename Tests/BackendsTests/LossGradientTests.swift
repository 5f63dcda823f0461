// Every loss against the oracle, and its gradient against central differences of the oracle in double precision.

import Backends
import Tensors
import Testing

/// Means of a few dozen float32 numbers.
private let valueTolerance = 2e-6
private let gradientTolerance = 2e-6

@Suite(.serialized) struct LossGradientTests {
  private let backend: CPUBackend

  init() throws { backend = try CPUBackend() }

  private static let shape = [2, 3, 3, 4]
  private static let targets: [(String, SegmentationTarget)] = {
    func values(_ count: Int, _ classes: Int) -> [Int16] { (0..<count).map { Int16($0 * 53 % 97 % classes) } }
    return [
      ("labels", .labels(values(24, 3), ignored: nil)), ("ignoring", .labels(values(24, 4), ignored: 3)),
      ("regions", .regions(values(72, 2), hasIgnoreMap: false)),
      ("regions with a map", .regions(values(96, 2), hasIgnoreMap: true)),
    ]
  }()

  private static let terms: [LossTerm] =
    [false, true].flatMap { batch -> [LossTerm] in
      [false, true].map { .dice(batch: batch, includesBackground: $0, smoothing: 1e-5) } + [
        .overlap(OverlapRatio(falsePositiveWeight: 0.3, falseNegativeWeight: 0.8, batch: batch)),
        .dice(batch: batch, smoothing: 0),
      ]
    } + [
      .crossEntropy(labelSmoothing: 0), .crossEntropy(labelSmoothing: 0.1),
      .topK(fraction: 0.3, labelSmoothing: 0), .topK(fraction: 0.3, labelSmoothing: 0.1), .focal(gamma: 2),
      .focal(gamma: 0.5),
    ]

  @Test("Every term on labels and regions, with voxels that do not count and without", arguments: 0..<4)
  func everyTerm(_ number: Int) throws {
    let (name, target) = Self.targets[number]
    let logits = randomArray(Self.shape, seed: 3 + number)
    for term in Self.terms where number < 2 || !term.needsLabels {
      // Two terms at once share their softmax.
      for terms in [
        [WeightedLossTerm(1, term)], [WeightedLossTerm(0.6, term), WeightedLossTerm(1.4, .dice())],
      ] {
        let result = backend.segmentationLoss(
          logits: Tensor(logits, pool: backend.pool), target: target, terms: terms, wantsGradient: true)
        let x = NaiveLogits(batch: 2, classes: 3, voxels: 12, values: logits.elements.map(Double.init))
        let expected = naiveLoss(x, target, terms)
        #expect(
          abs(result.value - expected) < valueTolerance, "\(name), \(term): \(result.value), \(expected)")
        let gradient = try #require(result.gradient).hostArray
        let h = 1e-6
        for i in x.values.indices {
          var (up, down) = (x, x)
          up.values[i] += h
          down.values[i] -= h
          let numeric = (naiveLoss(up, target, terms) - naiveLoss(down, target, terms)) / (2 * h)
          #expect(
            abs(numeric - Double(gradient.elements[i])) < gradientTolerance,
            "\(name), \(term), logit \(i): \(gradient.elements[i]) against \(numeric)")
        }
      }
    }
  }

  @Test("Activated sums and pooling: gradients by central differences in double precision")
  func residualAndPool() {
    let shape = [1, 5, 2, 4, 6]
    let (a, b, weights) = (
      randomArray(shape, seed: 1), randomArray(shape, seed: 2), randomArray(shape, seed: 3)
    )
    func activation(_ array: NDArray<Float>) -> Tensor {
      backend.activation(Tensor(array, pool: backend.pool), precision: .float32)
    }
    let slope = Double(Float(0.01))
    func objective(_ a: [Double]) -> Double {
      a.indices.reduce(0) { sum, i in
        let value = a[i] + Double(b.elements[i])
        return sum + Double(weights.elements[i]) * (value > 0 ? value : slope * value)
      }
    }
    let result = backend.residual(activation(a), activation(b), negativeSlope: 0.01)
    let gradient = backend.plain(
      backend.residualGradient(activation(weights), result: result, negativeSlope: 0.01)
    ).hostArray
    let start = a.elements.map(Double.init)
    for i in start.indices {
      var (up, down) = (start, start)
      up[i] += 1e-7
      down[i] -= 1e-7
      let numeric = (objective(up) - objective(down)) / 2e-7
      #expect(abs(numeric - Double(gradient.elements[i])) < 1e-5)
    }

    // Pooling is linear: the adjoint gives <weights, pool(x)> = <gradient, x> for every x.
    let pooled = backend.plain(backend.averagePool(activation(a), kernel: [2, 2, 3])).hostArray
    #expect(pooled.shape == [1, 5, 1, 2, 2])
    let small = randomArray(pooled.shape, seed: 4)
    let spread = backend.plain(backend.averagePoolGradient(activation(small), kernel: [2, 2, 3])).hostArray
    for c in 0..<5 {
      for y in 0..<2 {
        for x in 0..<2 {
          var mean = 0.0
          for z in 0..<2 {
            for (dy, dx) in (0..<2).flatMap({ dy in (0..<3).map { (dy, $0) } }) {
              mean += Double(a[0, c, z, 2 * y + dy, 3 * x + dx]) / 12
              #expect(abs(spread[0, c, z, 2 * y + dy, 3 * x + dx] - small[0, c, 0, y, x] / 12) < 1e-7)
            }
          }
          #expect(abs(Double(pooled[0, c, 0, y, x]) - mean) < 1e-6)
        }
      }
    }
  }
}
