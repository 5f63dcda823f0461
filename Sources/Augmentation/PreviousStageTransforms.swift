// Corruption of a previous stage's prediction, so that the second stage of a cascade does not trust it blindly. The
// prediction lies in the last channels of the image, one per label, as zeros and ones.

package import Archives
import CKernels
import Reporting
package import Tensors

extension AugmentationPipeline {
  /// The steps that corrupt the channels of a previous stage, behind the one that makes them.
  mutating func appendCorruption(labelCount: Int) {
    append(BinaryOperatorTransform(), named: "random_binary_operator", ["label_count": .integer(labelCount)])
    append(
      RemoveComponentTransform(), named: "remove_random_component", ["label_count": .integer(labelCount)])
  }
}

/// Dilates, erodes, opens or closes the prediction of some labels with a ball of random radius, in random order.
package struct BinaryOperatorTransform: AugmentationTransform {
  package init() {}
  package let kind = "random_binary_operator"
  package let defaults: JSONObject = [
    "probability": 0.4, "label_probability": 0.5, "radius_range": [1, 8], "label_count": 0,
  ]

  private enum Operator: String, CaseIterable {
    case dilation, erosion, closing, opening
  }

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    guard random.uniform() < parameters.double("probability") else { return nil }
    let range = parameters.range("radius_range")
    let operations = drawLabels(parameters, &random).map { label -> JSON in
      let kind = Operator.allCases[random.integer(below: Operator.allCases.count)]
      return [
        "label": .integer(label), "operator": .string(kind.rawValue),
        "radius": .number(random.uniform(range.lower, range.upper)),
      ]
    }
    return operations.isEmpty ? nil : ["operations": .array(operations)]
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    guard let drawn else { return }
    let labelCount = parameters.integer("label_count")
    let masks = try PreviousStageMasks(sample, labelCount: labelCount, step: "random_binary_operator")
    for operation in drawn["operations"]?.array ?? [] {
      guard let label = operation["label"]?.integer, (0..<labelCount).contains(label),
        let kind = operation["operator"]?.string.flatMap(Operator.init),
        let radius = operation["radius"]?.double, (0.5...100).contains(radius)
      else {
        throw unusableDraw(
          "random_binary_operator", expected: "a label, an operator and a radius", found: operation)
      }
      let old = masks.mask(of: label, in: sample)
      let element = StructuringElement(radius: radius, axisCount: masks.axisCount)
      let new =
        switch kind {
        case .dilation: element.dilate(old, masks.extents)
        case .erosion: element.erode(old, masks.extents)
        case .closing: element.erode(element.dilate(old, masks.extents), masks.extents)
        case .opening: element.dilate(element.erode(old, masks.extents), masks.extents)
        }
      masks.replace(label, old: old, by: new, in: &sample)
    }
  }
}

/// Deletes one connected component of the prediction of some labels, unless it fills much of the patch.
package struct RemoveComponentTransform: AugmentationTransform {
  package init() {}
  package let kind = "remove_random_component"
  package let defaults: JSONObject = [
    "probability": 0.2, "label_probability": 0.5, "largest_share": 0.15, "label_count": 0,
  ]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    guard random.uniform() < parameters.double("probability") else { return nil }
    // How many components there are shows when it is applied: the place among them is drawn as a share.
    let removals = drawLabels(parameters, &random).map { label -> JSON in
      ["label": .integer(label), "place": .number(random.uniform())]
    }
    return removals.isEmpty ? nil : ["removals": .array(removals)]
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    guard let drawn else { return }
    let labelCount = parameters.integer("label_count")
    let masks = try PreviousStageMasks(sample, labelCount: labelCount, step: "remove_random_component")
    for removal in drawn["removals"]?.array ?? [] {
      guard let label = removal["label"]?.integer, (0..<labelCount).contains(label),
        let place = removal["place"]?.double, (0..<1).contains(place)
      else {
        throw unusableDraw("remove_random_component", expected: "a label and a place", found: removal)
      }
      let old = masks.mask(of: label, in: sample)
      var components = [Int32](repeating: 0, count: old.count)
      let componentCount = Int(nnk_label_components(old, &components, masks.extents))
      var sizes = [Int](repeating: 0, count: componentCount + 1)
      for component in components { sizes[Int(component)] += 1 }
      let limit = Double(old.count) * parameters.double("largest_share")
      let candidates = (0..<componentCount).map { $0 + 1 }.filter { Double(sizes[$0]) < limit }
      guard !candidates.isEmpty else { continue }
      let chosen = Int32(candidates[Int(place * Double(candidates.count))])
      var new = old
      for i in new.indices where components[i] == chosen { new[i] = 0 }
      masks.replace(label, old: old, by: new, in: &sample)
    }
  }
}

/// Some of the labels in random order.
private func drawLabels(_ parameters: AugmentationParameters, _ random: inout RandomSource) -> [Int] {
  (0..<parameters.integer("label_count")).shuffled(using: &random).filter { _ in
    random.uniform() < parameters.double("label_probability")
  }
}

/// Where the prediction lies in an image.
private struct PreviousStageMasks {
  let extents: [Int]
  let axisCount: Int
  private let firstChannel: Int
  private let labelCount: Int
  private var count: Int { extents.reduce(1, *) }

  init(_ sample: AugmentationSample, labelCount: Int, step: String) throws(Diagnostic) {
    guard labelCount <= sample.image.shape[0] else {
      throw Diagnostic(
        "the image has too few channels for a previous stage", at: "augmentation step \"\(step)\"",
        expected: "at least \(labelCount)", found: "\(sample.image.shape[0])",
        remedy: "keep the step that moves the prediction into the image")
    }
    extents = spatialExtents(of: sample.image.shape)
    axisCount = sample.image.shape.count - 1
    firstChannel = sample.image.shape[0] - labelCount
    self.labelCount = labelCount
  }

  func mask(of label: Int, in sample: AugmentationSample) -> [UInt8] {
    let start = (firstChannel + label) * count
    return sample.image.elements[start..<start + count].map { $0 == 0 ? 0 : 1 }
  }

  /// Writes a label's new mask; what it gained is taken from all other labels, what it lost is background.
  func replace(_ label: Int, old: [UInt8], by new: [UInt8], in sample: inout AugmentationSample) {
    sample.image.elements.withUnsafeMutableBufferPointer { values in
      for other in 0..<labelCount {
        let start = (firstChannel + other) * count
        if other == label {
          for i in new.indices { values[start &+ i] = Float(new[i]) }
        } else {
          for i in new.indices where new[i] > old[i] { values[start &+ i] = 0 }
        }
      }
    }
  }
}

/// A ball or disk as rows of voxels around its middle.
package struct StructuringElement: Sendable {
  /// Per row: offsets along z and y, first and last offset along x.
  package let rows: [Int32]
  /// The number of voxels.
  package let voxelCount: Int

  /// The ball or disk of a radius, which need not be whole.
  ///
  /// In three dimensions positions are spread evenly from -r to r; in two they start at -r and lie one apart, so that a
  /// disk of fractional radius is lopsided.
  package init(radius: Double, axisCount: Int) {
    let positions: [Double]
    if axisCount == 3 {
      let count = Int(2 * radius + 1)
      let step = count > 1 ? 2 * radius / Double(count - 1) : 1
      positions = (0..<count).map { Double($0) * step - radius }
    } else {
      positions = (0..<Int((2 * radius + 1).rounded(.up))).map { Double($0) - radius }
    }
    let squares = positions.map { $0 * $0 }
    let low = (positions.count - 1) / 2
    let limit = radius * radius
    var rows: [(z: Int, y: Int, first: Int, last: Int)] = []
    for z in axisCount == 3 ? Array(squares.indices) : [low] {
      for y in squares.indices {
        let inside = squares.indices.filter { x in
          squares[x] + squares[y] + (axisCount == 3 ? squares[z] : 0) <= limit
        }
        guard let first = inside.first, let last = inside.last else { continue }
        rows.append((z - low, y - low, first - low, last - low))
      }
    }
    // Rows of equal length follow each other: their running maxima are computed once.
    rows.sort { ($0.last - $0.first, $0.z, $0.y) < ($1.last - $1.first, $1.z, $1.y) }
    self.rows = rows.flatMap { [Int32($0.z), Int32($0.y), Int32($0.first), Int32($0.last)] }
    voxelCount = rows.reduce(0) { $0 + $1.last - $1.first + 1 }
  }

  /// Outside the patch there is nothing.
  package func dilate(_ mask: [UInt8], _ extents: [Int]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: mask.count) { target, count in
      nnk_dilate(mask, target.baseAddress, extents, rows, rows.count / 4)
      count = mask.count
    }
  }

  /// Outside the patch counts as filled.
  package func erode(_ mask: [UInt8], _ extents: [Int]) -> [UInt8] {
    dilate(mask.map { 1 - $0 }, extents).map { 1 - $0 }
  }
}
