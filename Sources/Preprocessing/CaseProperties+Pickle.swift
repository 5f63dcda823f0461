// The properties of a case as nnU-Net pickles them beside probabilities, so that its ensembling finds the geometry.
// SimpleITK and headers list x, y, z; arrays list z, y, x.

package import Archives
package import Reporting
package import VolumeFormats
import Volumes

extension CaseProperties {
  /// The dictionary that nnU-Net's reader of the dataset would have kept.
  package func pickle(as reader: ImageReader?) -> PickleValue {
    var pairs: [(PickleValue, PickleValue)] = []
    switch reader {
    case .naturalImage2D, .tiff3D, .numPy: break
    case .nibabel, .nibabelReoriented:
      var stuff = [(PickleValue.string("original_affine"), affine(of: fileGeometry))]
      if reader == .nibabelReoriented { stuff.append((.string("reoriented_affine"), affine(of: geometry))) }
      pairs.append((.string("nibabel_stuff"), .dictionary(PickleDictionary(stuff))))
    case .simpleITK, .simpleITKReoriented, nil:
      pairs.append((.string("sitk_stuff"), .dictionary(PickleDictionary(simpleITKFields))))
    }
    pairs += [
      (.string("spacing"), .list(spacing.map(PickleValue.number))),
      (.string("shape_before_cropping"), .tuple(shapeBeforeCropping.map(PickleValue.integer))),
      (
        .string("bbox_used_for_cropping"),
        .list(zip(boundingBox.lower, boundingBox.upper).map { .list([.integer($0), .integer($1)]) })
      ),
      (
        .string("shape_after_cropping_and_before_resampling"),
        .tuple(shapeAfterCropping.map(PickleValue.integer))
      ),
    ]
    return .dictionary(PickleDictionary(pairs))
  }

  private var simpleITKFields: [(PickleValue, PickleValue)] {
    // A picture of two axes has no z in its file.
    let axes = geometry.axisCount == 2 ? [0, 1] : [0, 1, 2]
    func numbers(_ values: [Double]) -> PickleValue { .tuple(values.map(PickleValue.number)) }
    return [
      (.string("spacing"), numbers(axes.map { geometry.spacing[2 - $0] })),
      (.string("origin"), numbers(axes.map { geometry.origin[$0] })),
      (
        .string("direction"),
        numbers(axes.flatMap { row in axes.map { geometry.direction[3 * row + $0] } })
      ),
    ]
  }

  /// The geometry of the file, if a reader has turned the image; spacing and origin are the file's own.
  private var fileGeometry: ImageGeometry {
    guard let turn = geometry.turn else { return geometry }
    var file = geometry
    file.spacing = turn.spacing
    file.origin = turn.origin
    file.turn = nil
    for axis in 0..<3 {
      let sign: Double = turn.isFlipped[axis] ? -1 : 1
      for row in 0..<3 {
        file.direction[3 * row + turn.axes[axis]] = sign * geometry.direction[3 * row + axis]
      }
    }
    return file
  }

  /// The matrix from voxels (x, y, z) to the world of nibabel, whose first two axes run the other way.
  private func affine(of geometry: ImageGeometry) -> PickleValue {
    var matrix: [Double] = []
    for row in 0..<3 {
      let sign: Double = row < 2 ? -1 : 1
      for axis in 0..<3 {
        matrix.append(sign * geometry.direction[3 * row + axis] * geometry.spacing[2 - axis])
      }
      matrix.append(sign * geometry.origin[row])
    }
    matrix += [0, 0, 0, 1]
    return .array(
      PickleArray(
        shape: [4, 4], dataType: .float64, bytes: matrix.withUnsafeBytes { Array($0) }))
  }

  /// Reads the properties of a case that nnU-Net pickled.
  ///
  /// - Parameters:
  ///   - pickle: the dictionary.
  ///   - source: names the file in errors.
  /// - Throws: a ``Diagnostic`` if crop, shape or spacing are missing.
  package init(pickle: PickleValue, source: String) throws(Diagnostic) {
    func numbers(_ value: PickleValue?) -> [Double]? {
      guard let elements = value?.elements else { return nil }
      let values = elements.compactMap(\.double)
      return values.count == elements.count ? values : nil
    }
    func integers(_ value: PickleValue?) -> [Int]? { numbers(value)?.compactMap(Int.init(exactly:)) }
    let box = pickle["bbox_used_for_cropping"]?.elements?.compactMap { integers($0) }
    guard let spacing = numbers(pickle["spacing"]), spacing.count == 3,
      let shape = integers(pickle["shape_before_cropping"]), shape.count == 3,
      let box, box.count == 3, !box.contains(where: { $0.count != 2 || $0[0] < 0 || $0[1] < $0[0] })
    else {
      throw Diagnostic(
        "the properties of a case are not usable", at: source,
        expected: "spacing, shape_before_cropping and bbox_used_for_cropping",
        found: pickle.dictionary.map { "the keys \($0.keys.joined(separator: ", "))" } ?? "another value",
        remedy: "give a CASE.pkl that nnU-Net wrote while predicting or preprocessing")
    }
    var geometry = ImageGeometry(spacing: spacing)
    if let stuff = pickle["sitk_stuff"], let origin = numbers(stuff["origin"]),
      let direction = numbers(stuff["direction"]), let fileSpacing = numbers(stuff["spacing"])
    {
      if origin.count == 3, direction.count == 9, fileSpacing.count == 3 {
        geometry = ImageGeometry(spacing: fileSpacing.reversed(), origin: origin, direction: direction)
      } else if origin.count == 2, direction.count == 4, fileSpacing.count == 2 {
        geometry = ImageGeometry(
          spacing: [1] + fileSpacing.reversed(), origin: origin + [0],
          direction: [direction[0], direction[1], 0, direction[2], direction[3], 0, 0, 0, 1], axisCount: 2)
      }
    }
    self.init(
      spacing: spacing, geometry: geometry, shapeBeforeCropping: shape,
      boundingBox: BoundingBox(lower: box.map { $0[0] }, upper: box.map { $0[1] }))
  }
}
