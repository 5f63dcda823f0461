// The way back from a preprocessed case to its file: resampling, uncropping, transposing.

import Tensors
package import Volumes

/// Where the logits of a case belong in its original image.
///
/// Shapes are in the plans' transposed axis order.
package struct PredictionSpace: Sendable {
  package var shapeBeforeCropping: [Int]
  package var boundingBox: BoundingBox
  /// Millimetres between voxels of the original image, in transposed axis order.
  package var spacing: [Double]
  /// Millimetres between voxels of the logits, in transposed axis order.
  package var logitsSpacing: [Double]
  /// The plans' `transpose_backward`.
  package var transposeBackward: [Int]
  /// Where the file's image lies in the world.
  package var geometry: ImageGeometry

  /// The space of a case that was preprocessed under plans with these axes.
  ///
  /// `fileSpacing` is in the order of the file; a configuration of two axes keeps the case's own spacing along
  /// the first.
  package init(
    shapeBeforeCropping: [Int], boundingBox: BoundingBox, fileSpacing: [Double],
    configurationSpacing: [Double],
    transposeForward: [Int], geometry: ImageGeometry
  ) {
    self.shapeBeforeCropping = shapeBeforeCropping
    self.boundingBox = boundingBox
    spacing = transposeForward.map { fileSpacing[$0] }
    logitsSpacing =
      configurationSpacing.count < spacing.count ? [spacing[0]] + configurationSpacing : configurationSpacing
    transposeBackward = transposeForward.indices.map { axis in transposeForward.firstIndex(of: axis) ?? axis }
    self.geometry = geometry
  }

  package var croppedShape: [Int] { boundingBox.shape }

  /// Extents in the order of the file.
  package var fileShape: [Int] { transposeBackward.map { shapeBeforeCropping[$0] } }

  /// For each transposed axis, the distance between neighbours in an array in the order of the file.
  var fileStrides: [Int] {
    let strides = rowMajorStrides(of: fileShape)
    return shapeBeforeCropping.indices.map { axis in strides[transposeBackward.firstIndex(of: axis) ?? axis] }
  }
}
