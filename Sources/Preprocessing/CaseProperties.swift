// What preprocessing remembers of a case, so that a prediction finds its way back to the original image.

package import Archives
package import Reporting
package import Volumes

/// Geometry and crop of one case.
package struct CaseProperties: Sendable, Equatable {
  /// Millimetres between voxels in the order of the file's array axes.
  package var spacing: [Double]
  /// Where the file's image lies in the world.
  package var geometry: ImageGeometry
  /// Extents before cropping, in transposed axis order.
  package var shapeBeforeCropping: [Int]
  /// The crop, in transposed axis order.
  package var boundingBox: BoundingBox

  /// Extents after cropping and before resampling, in transposed axis order.
  package var shapeAfterCropping: [Int] { boundingBox.shape }

  package init(
    spacing: [Double], geometry: ImageGeometry, shapeBeforeCropping: [Int], boundingBox: BoundingBox
  ) {
    self.spacing = spacing
    self.geometry = geometry
    self.shapeBeforeCropping = shapeBeforeCropping
    self.boundingBox = boundingBox
  }
}

extension CaseProperties {
  /// The properties under nnU-Net's names where it has them.
  package var json: JSON {
    [
      "spacing": JSON(spacing),
      "shape_before_cropping": JSON(shapeBeforeCropping),
      "bbox_used_for_cropping": .array(zip(boundingBox.lower, boundingBox.upper).map { JSON([$0, $1]) }),
      "shape_after_cropping_and_before_resampling": JSON(shapeAfterCropping),
      "geometry": geometry.json,
    ]
  }

  /// Reads what ``json`` wrote; `source` names the file in errors.
  package init(json: JSON, source: String) throws(Diagnostic) {
    guard let spacing = json["spacing"]?.doubles, spacing.count == 3,
      let shapeBeforeCropping = json["shape_before_cropping"]?.integers, shapeBeforeCropping.count == 3,
      let box = json["bbox_used_for_cropping"]?.array?.compactMap({ $0.integers }), box.count == 3,
      !box.contains(where: { $0.count != 2 || $0[0] < 0 || $0[1] < $0[0] }),
      let geometry = json["geometry"].flatMap(ImageGeometry.init(json:))
    else {
      throw Diagnostic(
        "the properties of a case are not usable", at: source,
        expected: "spacing, shape_before_cropping, bbox_used_for_cropping and geometry",
        found: json.text(indent: nil),
        remedy: "preprocess the dataset again")
    }
    self.init(
      spacing: spacing, geometry: geometry, shapeBeforeCropping: shapeBeforeCropping,
      boundingBox: BoundingBox(lower: box.map { $0[0] }, upper: box.map { $0[1] }))
  }
}

extension ImageGeometry {
  fileprivate var json: JSON {
    var object: JSONObject = [
      "spacing": JSON(spacing), "origin": JSON(origin), "direction": JSON(direction),
    ]
    if axisCount != 3 { object["axis_count"] = .integer(axisCount) }
    if let turn {
      object["turn"] = [
        "axes": JSON(turn.axes), "is_flipped": .array(turn.isFlipped.map { .bool($0) }),
        "spacing": JSON(turn.spacing), "origin": JSON(turn.origin),
      ]
    }
    if let nifti {
      object["nifti"] = [
        "version": .integer(nifti.version), "dimension_count": .integer(nifti.dimensionCount),
        "pixdim": JSON(nifti.pixdim), "qform_code": .integer(Int(nifti.qformCode)),
        "sform_code": .integer(Int(nifti.sformCode)), "quaternion": JSON(nifti.quaternion),
        "srow": JSON(nifti.srow), "xyzt_units": .integer(Int(nifti.xyztUnits)),
      ]
    }
    return .object(object)
  }

  fileprivate init?(json: JSON) {
    guard let spacing = json["spacing"]?.doubles, let origin = json["origin"]?.doubles,
      let direction = json["direction"]?.doubles
    else { return nil }
    var orientation: NIfTIOrientation?
    if let nifti = json["nifti"] {
      orientation = NIfTIOrientation(json: nifti)
      if orientation == nil { return nil }
    }
    self.init(
      spacing: spacing, origin: origin, direction: direction, nifti: orientation,
      axisCount: json["axis_count"]?.integer ?? 3)
    guard let stored = json["turn"] else { return }
    guard let axes = stored["axes"]?.integers, axes.sorted() == [0, 1, 2],
      let isFlipped = stored["is_flipped"]?.bools, isFlipped.count == 3,
      let spacing = stored["spacing"]?.doubles, spacing.count == 3,
      let origin = stored["origin"]?.doubles, origin.count == 3
    else { return nil }
    turn = ImageTurn(axes: axes, isFlipped: isFlipped, spacing: spacing, origin: origin)
  }
}

extension NIfTIOrientation {
  fileprivate init?(json: JSON) {
    guard let version = json["version"]?.integer, let dimensionCount = json["dimension_count"]?.integer,
      let pixdim = json["pixdim"]?.doubles,
      let qform = json["qform_code"]?.integer.flatMap(Int32.init(exactly:)),
      let sform = json["sform_code"]?.integer.flatMap(Int32.init(exactly:)),
      let quaternion = json["quaternion"]?.doubles, let srow = json["srow"]?.doubles,
      let units = json["xyzt_units"]?.integer.flatMap(Int32.init(exactly:))
    else { return nil }
    self.init(
      version: version, dimensionCount: dimensionCount, pixdim: pixdim, qformCode: qform, sformCode: sform,
      quaternion: quaternion, srow: srow, xyztUnits: units)
  }
}
