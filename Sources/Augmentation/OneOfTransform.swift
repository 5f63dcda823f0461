// A step that is one of several transforms, chosen anew for every sample.

package import Archives
import Reporting
package import Tensors

/// Chooses one of its transforms, each as likely as the others, which then acts with its own probability.
///
/// Parameters and draws carry the transform's name in front.
package struct OneOfTransform: AugmentationTransform {
  package let kind: String
  private let choices: [(name: String, transform: any AugmentationTransform)]
  package let defaults: JSONObject

  /// Takes the choices: names that are not the beginning of one another, with their transforms.
  package init(_ kind: String, _ choices: [(name: String, transform: any AugmentationTransform)]) {
    self.kind = kind
    self.choices = choices
    defaults = JSONObject(
      choices.flatMap { choice in
        choice.transform.defaults.pairs.map { ("\(choice.name)_\($0.key)", $0.value) }
      })
  }

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) throws -> JSON? {
    let choice = choices[random.integer(below: choices.count)]
    let drawn = try choice.transform.draw(parameters.part(named: choice.name), in: context, using: &random)
    return drawn.map { .object(JSONObject([(choice.name, $0)])) }
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    guard let drawn else { return }
    guard let key = drawn.object?.keys.first, let choice = choices.first(where: { $0.name == key }) else {
      throw unusableDraw(
        choices.map(\.name).joined(separator: " or "),
        expected: "an entry for \(choices.map(\.name).joined(separator: " or "))", found: drawn)
    }
    try choice.transform.apply(drawn[key], parameters.part(named: key), to: &sample)
  }
}
