// Where patches come from: the seam between sampling and the store of preprocessed cases.

package import Tensors
package import Volumes

/// A set of preprocessed cases.
package protocol PatchSource: Sendable {
  /// The cases to draw from, sorted.
  var identifiers: [String] { get }
  /// Opens a case; called for every sample and from several threads, so it should be cheap the second time.
  func open(_ identifier: String) throws -> any PatchCase
}

/// One preprocessed case, of which boxes can be read without loading all of it.
package protocol PatchCase: Sendable {
  /// - Shape: `[Z, Y, X]`, with one slice for flat images.
  var shape: [Int] { get }
  var channelCount: Int { get }
  /// Voxels to centre patches on, one entry per class or region.
  var foregroundCandidates: [ForegroundCandidates] { get }
  /// Reads `[C, Z, Y, X]`; 0 where the box leaves the image.
  func readImage(in box: BoundingBox) throws -> NDArray<Float>
  /// Reads `[Z, Y, X]`; -1 where the box leaves the image.
  func readSegmentation(in box: BoundingBox) throws -> NDArray<Int16>
  /// Reads what a cascade's previous stage predicted, `[Z, Y, X]`, -1 where the box leaves the image; `nil` without a
  /// previous stage.
  func readPreviousStage(in box: BoundingBox) throws -> NDArray<Int16>?
}

extension PatchCase {
  package func readPreviousStage(in box: BoundingBox) -> NDArray<Int16>? { nil }
}

/// Voxels of one class or region.
package struct ForegroundCandidates: Sendable {
  /// Whether this is every annotated voxel, which datasets with an ignore label have beside their classes.
  package let coversAllAnnotated: Bool
  /// - Shape: `[n, 3]`, positions in array order.
  package let voxels: NDArray<Int32>

  package init(coversAllAnnotated: Bool = false, voxels: NDArray<Int32>) {
    precondition(voxels.shape.count == 2 && voxels.shape[1] == 3, "voxels are rows of three positions")
    self.coversAllAnnotated = coversAllAnnotated
    self.voxels = voxels
  }

  package var isEmpty: Bool { voxels.count == 0 }
}
