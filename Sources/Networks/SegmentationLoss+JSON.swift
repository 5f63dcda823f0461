// A loss as data, for the records of a run.

package import Archives
import Backends

extension LossTerm {
  fileprivate var json: JSONObject {
    switch self {
    case .overlap(let ratio):
      [
        "term": "overlap", "batch": ratio.batch.map(JSON.bool) ?? .null,
        "includes_background": .bool(ratio.includesBackground), "smoothing": .number(ratio.smoothing),
        "false_positive_weight": .number(ratio.falsePositiveWeight),
        "false_negative_weight": .number(ratio.falseNegativeWeight),
      ]
    case .crossEntropy(let smoothing): ["term": "cross_entropy", "label_smoothing": .number(smoothing)]
    case .topK(let fraction, let smoothing):
      ["term": "top_k", "fraction": .number(fraction), "label_smoothing": .number(smoothing)]
    case .focal(let gamma): ["term": "focal", "gamma": .number(gamma)]
    }
  }
}

extension DeepSupervisionLoss {
  /// The terms with their weights, how many functions of scripts are added, and the weights of the resolutions.
  package var json: JSON {
    [
      "terms": .array(
        loss.terms.map { weighted in
          var term = weighted.term.json
          term["weight"] = .number(weighted.weight)
          return .object(term)
        }),
      "functions": .integer(functions.count), "deep_supervision_weights": .array(weights.map(JSON.number)),
    ]
  }
}
