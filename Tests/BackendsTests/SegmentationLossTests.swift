// The fused losses against published vectors, a double-precision oracle and finite differences.

import Backends
import Foundation
import Tensors
import Testing

private func diceAndEntropy(batch: Bool = false) -> [WeightedLossTerm] {
  [WeightedLossTerm(1, .dice(batch: batch)), WeightedLossTerm(1, .crossEntropy(labelSmoothing: 0))]
}

@Suite(.serialized) struct SegmentationLossTests {
  private let backend: CPUBackend

  init() throws { backend = try CPUBackend() }

  private func evaluate(
    _ logits: NDArray<Float>, _ target: SegmentationTarget, _ terms: [WeightedLossTerm]
  ) -> (value: Double, gradient: NDArray<Float>) {
    let result = backend.segmentationLoss(
      logits: Tensor(logits, pool: backend.pool), target: target, terms: terms, wantsGradient: true)
    return (result.value, result.gradient?.hostArray ?? NDArray(shape: [0], elements: []))
  }

  private let logits = NDArray<Float>(
    shape: [2, 3, 2, 2],
    elements: [
      1, -1, 0.5, 2, 0, 1, -0.5, 0, 0.2, 0.3, 1.5, -2, 0, 0, 1, 1, 2, -1, 0, 0.5, -0.3, 0.4, 0.1, -0.7,
    ])
  private let labels: [Int16] = [0, 1, 2, 0, 1, 2, 0, 1]

  // Values of the reference for these logits (section A.5 of its behavioural specification), seven digits.
  @Test("Dice and cross-entropy give the reference's values")
  func referenceValues() {
    let target = SegmentationTarget.labels(labels, ignored: nil)
    let entropyOnly = [WeightedLossTerm(1, .crossEntropy(labelSmoothing: 0))]
    #expect(abs(evaluate(logits, target, entropyOnly).value - 0.5193917) < 1e-6)
    #expect(abs(evaluate(logits, target, diceAndEntropy()).value - -0.0807250) < 1e-6)
    #expect(abs(evaluate(logits, target, diceAndEntropy(batch: true)).value - -0.0852660) < 1e-6)
    var ignoring = labels
    ignoring[3] = 3
    let value = evaluate(logits, .labels(ignoring, ignored: 3), diceAndEntropy(batch: true)).value
    #expect(abs(value - -0.0395364) < 1e-6)
  }

  @Test("Zero logits give the reference's value")
  func zeroLogits() {
    let zeros = NDArray<Float>(shape: [2, 3, 2, 2], repeating: 0)
    let value = evaluate(zeros, .labels([0, 0, 1, 2, 0, 0, 1, 2], ignored: nil), diceAndEntropy())
      .value
    #expect(abs(value - 0.8128949) < 1e-6)
  }

  @Test("Three regions with an ignore map: binary cross-entropy is three times the mean")
  func regionsWithIgnoreMap() {
    let zeros = NDArray<Float>(shape: [1, 3, 2, 2], repeating: 0)
    let maps = [Int16](repeating: 0, count: 16)
    let terms = [WeightedLossTerm(1, .crossEntropy(labelSmoothing: 0))]
    #expect(abs(evaluate(zeros, .regions(maps, hasIgnoreMap: true), terms).value - 3 * log(2.0)) < 1e-6)
    #expect(
      abs(evaluate(zeros, .regions(Array(maps.prefix(12)), hasIgnoreMap: false), terms).value - log(2.0))
        < 1e-6)
  }

  @Test("Gradients agree with central differences", arguments: [false, true])
  func gradients(batchDice: Bool) {
    var ignoring = labels
    ignoring[5] = 3
    let regions: [Int16] = (0..<24).map { Int16($0 * 7 % 5 % 2) }
    let withIgnore: [Int16] = (0..<32).map { Int16($0 * 11 % 7 % 2) }
    let targets: [SegmentationTarget] = [
      .labels(labels, ignored: nil), .labels(ignoring, ignored: 3), .regions(regions, hasIgnoreMap: false),
      .regions(withIgnore, hasIgnoreMap: true),
    ]
    let terms = [
      WeightedLossTerm(0.7, .crossEntropy(labelSmoothing: 0)), WeightedLossTerm(1.3, .dice(batch: batchDice)),
      WeightedLossTerm(
        0.4, .overlap(OverlapRatio(falsePositiveWeight: 0.3, falseNegativeWeight: 0.8, batch: batchDice))),
    ]
    // Float logits move by 2^-7, so that differences keep four digits.
    let h: Float = 0x1p-7
    for target in targets {
      let gradient = evaluate(logits, target, terms).gradient
      for i in logits.elements.indices {
        var (up, down) = (logits, logits)
        up.elements[i] += h
        down.elements[i] -= h
        let numeric =
          (evaluate(up, target, terms).value - evaluate(down, target, terms).value) / Double(2 * h)
        #expect(abs(numeric - Double(gradient.elements[i])) < 2e-4)
      }
    }
  }

  /// Cross-entropies of the logits in double precision: of each voxel's label, and the mean over the labels.
  private func entropies(_ labels: [Int16], ignored: Int16) -> [(own: Double, mean: Double)] {
    labels.indices.map { index in
      let (n, v) = (index / 4, index % 4)
      guard labels[index] != ignored else { return (0, 0) }
      let x = (0..<3).map { Double(logits.elements[(n * 3 + $0) * 4 + v]) }
      let total = log(x.reduce(0) { $0 + exp($1) })
      return (total - x[Int(labels[index])], total - x.reduce(0, +) / 3)
    }
  }

  @Test("Label smoothing, top-k and focal agree with their definitions, and their gradients with differences")
  func voxelLosses() {
    var ignoring = labels
    ignoring[5] = 3
    let e = entropies(ignoring, ignored: 3)
    let smoothed = e.map { 0.9 * $0.own + 0.1 * $0.mean }
    let focal = e.map { pow(1 - exp(-$0.own), 2) * $0.own }.reduce(0, +) / 7
    let cases: [(LossTerm, Double)] = [
      (.crossEntropy(labelSmoothing: 0.1), smoothed.reduce(0, +) / 7),
      (.topK(fraction: 0.4, labelSmoothing: 0), e.map(\.own).sorted(by: >).prefix(3).reduce(0, +) / 3),
      (.topK(fraction: 0.4, labelSmoothing: 0.1), smoothed.sorted(by: >).prefix(3).reduce(0, +) / 3),
      (.topK(fraction: 1, labelSmoothing: 0), e.map(\.own).reduce(0, +) / 8),
      (.focal(gamma: 2), focal), (.focal(gamma: 0), e.map(\.own).reduce(0, +) / 7),
    ]
    let target = SegmentationTarget.labels(ignoring, ignored: 3)
    let h: Float = 0x1p-7
    for (term, expected) in cases {
      let terms = [WeightedLossTerm(0.8, term), WeightedLossTerm(0.3, .dice())]
      let alone = evaluate(logits, target, [WeightedLossTerm(1, term)])
      #expect(abs(alone.value - expected) < 1e-6, "\(term)")
      let gradient = evaluate(logits, target, terms).gradient
      for i in logits.elements.indices {
        var (up, down) = (logits, logits)
        up.elements[i] += h
        down.elements[i] -= h
        let numeric =
          (evaluate(up, target, terms).value - evaluate(down, target, terms).value) / Double(2 * h)
        #expect(abs(numeric - Double(gradient.elements[i])) < 2e-4, "\(term)")
      }
    }
  }
}
