// The ordered list of augmentation steps: drawing, applying, and editing by name. What the steps are by
// default is in AugmentationPipeline+Standard.swift.

package import Archives
package import Reporting
package import Tensors
package import Volumes

/// An ordered list of named transforms with their parameters as data.
package struct AugmentationPipeline: Sendable {
  /// One named step.
  package struct Step: Sendable {
    package let name: String
    package internal(set) var parameters: AugmentationParameters
    package let transform: any AugmentationTransform
  }

  /// Extents of the patch the network sees: `[Z, Y, X]` or `[Y, X]`.
  package let patchSize: [Int]
  package private(set) var steps: [Step]

  /// A pipeline without any step.
  package init(patchSize: [Int]) {
    precondition(patchSize.count == 2 || patchSize.count == 3, "patches have two or three dimensions")
    self.patchSize = patchSize
    steps = []
  }

  package func step(named name: String) -> Step? { steps.first { $0.name == name } }

  /// Names, kinds and parameters in order, as data.
  package func list() -> JSON {
    .array(
      steps.map {
        [
          "name": .string($0.name), "transform": .string($0.transform.kind),
          "parameters": .object($0.parameters.values),
        ]
      })
  }

  /// The pipeline that a list describes.
  package init(patchSize: [Int], list: JSON, source: String) throws(Diagnostic) {
    self.init(patchSize: patchSize)
    for entry in list.array ?? [] {
      guard let name = entry["name"]?.string, let parameters = entry["parameters"]?.object else {
        throw Diagnostic(
          "an augmentation step cannot be read", at: source,
          expected: "\"name\", \"transform\" and \"parameters\"",
          found: entry.text(indent: nil), remedy: "write steps as the pipeline lists them")
      }
      let transform = try TransformLibrary.make(entry["transform"]?.string ?? name, patchSize: patchSize)
      try insert(transform, named: name, after: steps.last?.name)
      try set(name, parameters)
    }
  }
}

// MARK: - Drawing and applying

extension AugmentationPipeline {
  /// Draws every random number of one sample.
  ///
  /// Each step has its own stream, so that removing one leaves what the others draw as it was.
  package func draw(using random: inout RandomSource, channelCount: Int) throws -> AugmentationDraw {
    let base = Int(truncatingIfNeeded: random.next())
    let context = AugmentationContext(patchSize: patchSize, channelCount: channelCount)
    var draw = AugmentationDraw()
    for step in steps {
      var stream = RandomSource(key: [base] + step.name.utf8.map(Int.init))
      if let drawn = try step.transform.draw(step.parameters, in: context, using: &stream) {
        draw.steps[step.name] = drawn
      }
    }
    return draw
  }

  /// The part of the enlarged patch that a draw reads, relative to it.
  package func sourceBox(for draw: AugmentationDraw) -> BoundingBox {
    let initial = initialPatchSize
    guard steps.first?.name == Names.spatial, draw.steps[Names.spatial] == nil else {
      return BoundingBox(lower: initial.map { _ in 0 }, upper: initial)
    }
    let lower = zip(initial, patchSize).map { SpatialTransform.cropStart(from: $0, to: $1) }
    return BoundingBox(lower: lower, upper: zip(lower, patchSize).map { $0 + $1 })
  }

  /// Applies a draw to the enlarged patch, or to only the part of it that ``sourceBox(for:)`` names.
  ///
  /// - Shape: image `[C, spatial...]`, segmentation `[S, spatial...]`.
  package func apply(
    _ draw: AugmentationDraw, image: consuming NDArray<Float>, segmentation: consuming NDArray<Int16>
  ) throws -> AugmentationSample {
    guard image.shape.count == patchSize.count + 1, segmentation.shape.count == patchSize.count + 1,
      image.shape.dropFirst() == segmentation.shape.dropFirst()
    else {
      throw Diagnostic(
        "image and segmentation cannot be augmented",
        expected: "a channel axis and \(patchSize.count) equal spatial axes",
        found: "shapes \(image.shape) and \(segmentation.shape)",
        remedy: "read both from the same box, with a leading channel axis")
    }
    for name in draw.steps.keys where step(named: name) == nil { throw unknown(name) }
    var sample = AugmentationSample(image: image, segmentation: segmentation)
    for step in steps { try step.transform.apply(draw.steps[step.name], step.parameters, to: &sample) }
    if sample.targets.isEmpty { sample.targets = [sample.segmentation] }
    guard sample.image.shape.dropFirst().elementsEqual(patchSize) else {
      throw Diagnostic(
        "augmentation gave a patch of the wrong size", expected: "\(patchSize)",
        found: "\(Array(sample.image.shape.dropFirst()))",
        remedy: "keep the step \"spatial\", or read plan-sized patches")
    }
    return sample
  }
}

// MARK: - Editing

extension AugmentationPipeline {
  /// The pipeline without one step.
  package func without(_ name: String) throws(Diagnostic) -> AugmentationPipeline {
    var copy = self
    copy.steps.remove(at: try index(of: name))
    return copy
  }

  /// Changes some parameters of a step.
  package mutating func set(_ name: String, _ parameters: JSONObject) throws(Diagnostic) {
    let index = try index(of: name)
    var changed = steps[index].parameters
    for (key, value) in parameters.pairs { try changed.set(key, to: value, step: name) }
    steps[index].parameters = changed
  }

  /// Inserts a step after another one, or at the front.
  package mutating func insert(
    _ transform: any AugmentationTransform, named name: String, after predecessor: String?
  ) throws(Diagnostic) {
    guard step(named: name) == nil else {
      throw Diagnostic(
        "two augmentation steps cannot share a name", expected: "a name not in use", found: "\"\(name)\"",
        remedy: "choose another name, or remove the step first")
    }
    var position = 0
    if let predecessor { position = try index(of: predecessor) + 1 }
    steps.insert(
      Step(name: name, parameters: AugmentationParameters(transform.defaults), transform: transform),
      at: position)
  }

  /// The name of the step before another one; `nil` if that is the first.
  package func name(before name: String) throws(Diagnostic) -> String? {
    let index = try index(of: name)
    return index == 0 ? nil : steps[index - 1].name
  }

  /// This pipeline for a training whose own default is `standard`: with that one's steps for labels and targets, and
  /// with its corruption of a previous stage unless there is one already.
  package func fitted(to standard: AugmentationPipeline) throws(Diagnostic) -> AugmentationPipeline {
    guard patchSize == standard.patchSize else {
      throw Diagnostic(
        "the augmentation was made for another patch", at: "trainer key \"augmentation\"",
        expected: "\(standard.patchSize)", found: "\(patchSize)",
        remedy: "make it for the configuration that is trained, or give a function of the default pipeline")
    }
    let targets: Set = [Names.removeLabel, Names.moveSegmentation, Names.regions, Names.deepSupervision]
    let corruption: Set = ["random_binary_operator", "remove_random_component"]
    let own = steps.filter { !targets.contains($0.transform.kind) }
    let hasCorruption = own.contains { corruption.contains($0.transform.kind) }
    var result = AugmentationPipeline(patchSize: patchSize)
    result.steps = own.filter { !corruption.contains($0.transform.kind) }
    for step in standard.steps {
      if targets.contains(step.transform.kind) { result.steps.append(step) }
      if corruption.contains(step.transform.kind), !hasCorruption { result.steps.append(step) }
      if step.transform.kind == Names.moveSegmentation, hasCorruption {
        result.steps += own.filter { corruption.contains($0.transform.kind) }
      }
    }
    return result
  }

  /// The pipeline with a step inserted after another one.
  package func inserting(
    _ transform: any AugmentationTransform, named name: String, after predecessor: String?
  ) throws(Diagnostic) -> AugmentationPipeline {
    var copy = self
    try copy.insert(transform, named: name, after: predecessor)
    return copy
  }

  /// Appends a step whose name is known to be free and whose values are known to be good.
  mutating func append(_ transform: any AugmentationTransform, named name: String, _ values: JSONObject = [:])
  {
    var all = transform.defaults
    for (key, value) in values.pairs { all[key] = value }
    steps.append(Step(name: name, parameters: AugmentationParameters(all), transform: transform))
  }

  private func index(of name: String) throws(Diagnostic) -> Int {
    guard let index = steps.firstIndex(where: { $0.name == name }) else { throw unknown(name) }
    return index
  }

  private func unknown(_ name: String) -> Diagnostic {
    let names = steps.map(\.name)
    return Diagnostic(
      "no augmentation step \"\(name)\"", expected: "one of \(names.joined(separator: ", "))",
      found: "\"\(name)\"",
      remedy: nearestName(to: name, in: names).map { "did you mean \"\($0)\"?" }
        ?? "list the pipeline's steps")
  }
}
