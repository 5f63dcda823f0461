// Cropping to nonzero and hole filling on arrays small enough to reason about.

import Planning
import Tensors
import Testing
import Volumes

@Suite("Cropping")
struct CroppingTests {
  /// A hollow cube: ones on the surface of [2, 7)^3 inside 9^3, zeros within.
  private func hollowCube(opening: Bool) -> NDArray<Float> {
    var image = NDArray<Float>(shape: [1, 9, 9, 9], repeating: 0)
    for z in 2..<7 {
      for y in 2..<7 {
        for x in 2..<7 where [z, y, x].contains(where: { $0 == 2 || $0 == 6 }) { image[0, z, y, x] = 5 }
      }
    }
    if opening { image[0, 4, 4, 2] = 0 }
    return image
  }

  /// The object's box, the channels inside it, and the segmentation inside it.
  private func cropToNonzero(images: NDArray<Float>, segmentation: NDArray<Int16>?) -> (
    box: BoundingBox, images: NDArray<Float>, segmentation: NDArray<Int16>
  ) {
    let shape = Array(images.shape.dropFirst())
    let size = shape.reduce(1, *)
    let channels = (0..<images.shape[0]).map {
      NDArray(shape: shape, elements: Array(images.elements[$0 * size..<($0 + 1) * size]))
    }
    let region = NonzeroRegion(of: channels)
    return (region.box, crop(images, to: region.box), region.segmentation(segmentation))
  }

  @Test("A closed cavity counts as inside, an open one as outside")
  func cavities() {
    let closed = cropToNonzero(images: hollowCube(opening: false), segmentation: nil)
    #expect(closed.box.lower == [2, 2, 2])
    #expect(closed.box.upper == [7, 7, 7])
    #expect(closed.images.shape == [1, 5, 5, 5])
    #expect(closed.segmentation.elements.allSatisfy { $0 == 0 })
    let open = cropToNonzero(images: hollowCube(opening: true), segmentation: nil)
    // The cavity of 3^3 voxels and the opening itself.
    #expect(open.segmentation.elements.count { $0 == -1 } == 28)
    #expect(open.segmentation[2, 2, 2] == -1)
  }

  @Test("Labels outside the object survive; channels unite")
  func labels() {
    var image = NDArray<Float>(shape: [2, 4, 4, 4], repeating: 0)
    image[0, 0, 0, 0] = 1
    image[1, 3, 3, 2] = -.infinity
    var segmentation = NDArray<Int16>(shape: [4, 4, 4], repeating: 0)
    segmentation[1, 1, 1] = 2
    let result = cropToNonzero(images: image, segmentation: segmentation)
    #expect(result.box.upper == [4, 4, 3])
    #expect(result.segmentation[1, 1, 1] == 2)
    #expect(result.segmentation[0, 0, 0] == 0)
    #expect(result.segmentation[3, 3, 2] == 0)
    #expect(result.segmentation.elements.count { $0 == -1 } == 4 * 4 * 3 - 3)
    #expect(result.images[1, 3, 3, 2] == -.infinity)
  }

  @Test("Nothing is filled in a single slice, and an empty image keeps its size")
  func degenerate() {
    var slice = NDArray<Float>(shape: [1, 1, 3, 3], repeating: 1)
    slice[0, 0, 1, 1] = 0
    #expect(cropToNonzero(images: slice, segmentation: nil).segmentation[0, 1, 1] == -1)
    let empty = cropToNonzero(images: NDArray(shape: [1, 2, 3, 4], repeating: 0), segmentation: nil)
    #expect(empty.box.shape == [2, 3, 4])
    #expect(empty.segmentation.elements.allSatisfy { $0 == -1 })
  }

  @Test("Filling holes agrees with a plain flood on random masks", arguments: 0..<20)
  func randomMasks(seed: Int) {
    var random = RandomSource(key: [seed])
    let shape = [3 + seed % 5, 6, 7]
    let density = random.uniform(0.4, 0.8)
    var mask = NDArray<UInt8>(shape: shape, repeating: 0)
    for i in 0..<mask.count { mask.elements[i] = random.uniform() < density ? 1 : 0 }
    let expected = plainFill(mask)
    fillHoles(&mask)
    #expect(mask == expected)
  }

  private func plainFill(_ mask: NDArray<UInt8>) -> NDArray<UInt8> {
    let (depth, height, width) = (mask.shape[0], mask.shape[1], mask.shape[2])
    func isFace(_ z: Int, _ y: Int, _ x: Int) -> Bool {
      z == 0 || y == 0 || x == 0 || z == depth - 1 || y == height - 1 || x == width - 1
    }
    var result = NDArray<UInt8>(shape: mask.shape, repeating: 1)
    var changed = true
    while changed {
      changed = false
      for z in 0..<depth {
        for y in 0..<height {
          for x in 0..<width where mask[z, y, x] == 0 && result[z, y, x] == 1 {
            let reached =
              isFace(z, y, x) || result[z - 1, y, x] == 0 || result[z + 1, y, x] == 0
              || result[z, y - 1, x] == 0
              || result[z, y + 1, x] == 0 || result[z, y, x - 1] == 0 || result[z, y, x + 1] == 0
            if reached {
              result[z, y, x] = 0
              changed = true
            }
          }
        }
      }
    }
    return result
  }
}
