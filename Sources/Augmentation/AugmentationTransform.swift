// What a transform is: numbers drawn first, as data, and applied afterwards without any chance. The
// transforms themselves are in the files beside this one.

package import Archives
package import Reporting
package import Tensors

/// One training sample on its way through the transforms.
package struct AugmentationSample: Sendable {
  /// - Shape: `[C, Z, Y, X]`, or `[C, Y, X]` in two dimensions.
  package var image: NDArray<Float>
  /// Labels, or 0/1 regions once they are converted.
  /// - Shape: `[S, Z, Y, X]` or `[S, Y, X]`.
  package var segmentation: NDArray<Int16>
  /// The segmentation at every supervision scale, finest first; only the segmentation itself without
  /// supervision.
  package var targets: [NDArray<Int16>] = []

  package init(image: NDArray<Float>, segmentation: NDArray<Int16>) {
    self.image = image
    self.segmentation = segmentation
  }
}

/// What a transform may know when it draws.
package struct AugmentationContext: Sendable {
  /// Extents of the patch the network sees.
  package let patchSize: [Int]
  package let channelCount: Int
}

/// A step of the pipeline; stateless, its settings come as parameters.
package protocol AugmentationTransform: Sendable {
  /// Its name among the transforms that there are.
  var kind: String { get }
  /// Every parameter with its default.
  var defaults: JSONObject { get }

  /// Draws this sample's numbers; `nil` when the step has nothing to vary or is not to happen.
  func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) throws -> JSON?

  /// Changes the sample as drawn; uses no randomness of its own.
  func apply(_ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample) throws
}

/// A step made of closures: the place where scripts plug in.
package struct CustomTransform: AugmentationTransform {
  package typealias Draw = @Sendable (AugmentationContext, inout RandomSource) throws -> JSON?
  package typealias Apply = @Sendable (JSON?, inout AugmentationSample) throws -> Void

  package let kind = "custom"
  package let defaults: JSONObject = [:]
  private let drawing: Draw
  private let applying: Apply

  /// Takes what draws (by default nothing) and what applies.
  package init(draw: @escaping Draw = { _, _ in nil }, apply: @escaping Apply) {
    drawing = draw
    applying = apply
  }

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) throws -> JSON? {
    try drawing(context, &random)
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    try applying(drawn, &sample)
  }
}

/// Every random number of one sample, by step name; a step that was not drawn is absent.
package struct AugmentationDraw: Sendable, Equatable {
  /// What each step drew.
  package var steps: JSONObject

  package init(steps: JSONObject = [:]) { self.steps = steps }

  /// The draw as data, for logs and replays.
  package var json: JSON { .object(steps) }

  /// Reads a draw back.
  package init(json: JSON) throws(Diagnostic) {
    guard let steps = json.object else {
      throw Diagnostic(
        "not an augmentation draw", expected: "an object with one entry per step", found: json.kind,
        remedy: "pass what the pipeline drew")
    }
    self.steps = steps
  }
}
