// Images with their place in the world. Arrays are Z, Y, X (slowest first); headers and world points are x, y, z.

package import Tensors

/// One image or label map with its geometry.
package struct Volume<Voxel: Sendable>: Sendable {
  /// Voxels, `[Z, Y, X]`.
  package var voxels: NDArray<Voxel>
  package var geometry: ImageGeometry

  package init(voxels: NDArray<Voxel>, geometry: ImageGeometry) {
    self.voxels = voxels
    self.geometry = geometry
  }

  package var shape: [Int] { voxels.shape }
}

/// Where an image lies in the world.
package struct ImageGeometry: Sendable, Equatable {
  /// Millimetres between voxel centres in array order: z, y, x.
  package var spacing: [Double]
  /// World position (LPS, mm) of the first voxel: x, y, z.
  package var origin: [Double]
  /// Direction cosines in LPS, row-major 3x3; column `i` is the world direction of header axis `i` (x, y, z).
  package var direction: [Double]
  /// The orientation fields of the NIfTI header this image came from, so that a prediction carries them bit for bit.
  package var nifti: NIfTIOrientation?
  /// The spatial axes of the file: 2 for a picture or a single slice, whose array has one slice all the same.
  package var axisCount: Int
  /// How to turn the image back to the axes of its file, if a reader has turned it.
  package var turn: ImageTurn?

  package init(
    spacing: [Double], origin: [Double] = [0, 0, 0], direction: [Double] = [1, 0, 0, 0, 1, 0, 0, 0, 1],
    nifti: NIfTIOrientation? = nil, axisCount: Int = 3
  ) {
    self.spacing = spacing
    self.origin = origin
    self.direction = direction
    self.nifti = nifti
    self.axisCount = axisCount
  }
}

/// Which axes of a file became which axes of an image that was turned after reading.
package struct ImageTurn: Sendable, Equatable {
  /// For x, y, z of the image: the axis of the file, 0 to 2.
  package var axes: [Int]
  /// For x, y, z of the image: whether it runs against that axis.
  package var isFlipped: [Bool]
  /// Spacing and origin that the file gave, which arithmetic would not restore to the last bit.
  package var spacing: [Double]
  package var origin: [Double]

  package init(axes: [Int], isFlipped: [Bool], spacing: [Double], origin: [Double]) {
    self.axes = axes
    self.isFlipped = isFlipped
    self.spacing = spacing
    self.origin = origin
  }

  /// Whether the image lies as in its file.
  package var isIdentity: Bool { axes == [0, 1, 2] && !isFlipped.contains(true) }
}

/// The fields of a NIfTI header that say where the image lies, exactly as stored.
package struct NIfTIOrientation: Sendable, Equatable {
  /// 1 or 2.
  package var version: Int
  package var dimensionCount: Int
  package var pixdim: [Double]
  package var qformCode: Int32
  package var sformCode: Int32
  /// quatern_b, quatern_c, quatern_d, qoffset_x, qoffset_y, qoffset_z.
  package var quaternion: [Double]
  /// srow_x, srow_y, srow_z: twelve numbers.
  package var srow: [Double]
  package var xyztUnits: Int32

  package init(
    version: Int, dimensionCount: Int, pixdim: [Double], qformCode: Int32, sformCode: Int32,
    quaternion: [Double],
    srow: [Double], xyztUnits: Int32
  ) {
    self.version = version
    self.dimensionCount = dimensionCount
    self.pixdim = pixdim
    self.qformCode = qformCode
    self.sformCode = sformCode
    self.quaternion = quaternion
    self.srow = srow
    self.xyztUnits = xyztUnits
  }
}

/// A half-open box of voxels, one range per array axis.
package struct BoundingBox: Sendable, Equatable {
  package var lower: [Int]
  package var upper: [Int]

  package init(lower: [Int], upper: [Int]) {
    self.lower = lower
    self.upper = upper
  }

  /// Extents per axis.
  package var shape: [Int] { zip(lower, upper).map { $1 - $0 } }
}
