// The built-in phantom: the same every time, with its labels nested, and out of reach of any threshold.

import Datasets
import Foundation
import Tensors
import TestSupport
import Testing
import VolumeFormats
import Volumes

@Suite("PhantomDataset")
struct PhantomDatasetTests {
  private static let phantoms: [PhantomCase] = (0..<15).map {
    makePhantomCase(index: $0, options: PhantomOptions())
  }

  @Test("The same case number gives the same voxels, another seed other ones")
  func determinism() {
    let again = makePhantomCase(index: 3, options: PhantomOptions())
    #expect(again.image.voxels == Self.phantoms[3].image.voxels)
    #expect(again.labels.voxels == Self.phantoms[3].labels.voxels)
    var options = PhantomOptions()
    options.seed = 2
    #expect(makePhantomCase(index: 3, options: options).image.voxels != again.image.voxels)
  }

  @Test("Every case holds both labels, well inside the image and large enough to learn")
  func labels() {
    for phantom in Self.phantoms {
      let voxels = phantom.labels.voxels
      let shape = voxels.shape
      #expect(voxels.elements.count { $0 == 1 } > 800)
      #expect(voxels.elements.count { $0 == 2 } > 200)
      #expect(phantom.image.voxels.elements.count { $0 == 0 } < voxels.count / 4)
      for z in 0..<shape[0] {
        for y in 0..<shape[1] {
          #expect(voxels[z, y, 0] == 0 && voxels[z, y, shape[2] - 1] == 0)
        }
      }
      // The core touches only itself and the shell around it: labels are nested.
      for z in 1..<(shape[0] - 1) {
        for y in 1..<(shape[1] - 1) {
          for x in 1..<(shape[2] - 1) where voxels[z, y, x] == 2 {
            let neighbours = [
              voxels[z, y - 1, x], voxels[z, y + 1, x], voxels[z, y, x - 1], voxels[z, y, x + 1],
            ]
            #expect(!neighbours.contains(0))
          }
        }
      }
    }
  }

  @Test("No threshold reaches a Dice of 0.6 for either label", arguments: [1, 2])
  func thresholds(label: Int) {
    let result = bestThresholdDice(
      images: Self.phantoms.map(\.image.voxels), labels: Self.phantoms.map(\.labels.voxels), label: label)
    #expect(result.dice > 0.1)
    #expect(result.dice < 0.6)
  }

  @Test("The best threshold of a separable image is the one that separates it")
  func separableImage() {
    let image = NDArray<Float>(shape: [1, 1, 6], elements: [5, 1, 9, 8, 2, 9])
    let labels = NDArray<Int16>(shape: [1, 1, 6], elements: [1, 0, 2, 2, 0, 2])
    let bright = bestThresholdDice(images: [image], labels: [labels], label: 2)
    #expect(bright.threshold == 8 && bright.takesBrighter && bright.dice == 1)
    let dark = bestThresholdDice(images: [image], labels: [labels], label: 0)
    #expect(dark.threshold == 2 && !dark.takesBrighter && dark.dice == 1)
    let middle = bestThresholdDice(images: [image], labels: [labels], label: 1)
    #expect(middle.dice == 0.5)
  }

  @Test("The folder is a raw dataset, the same bytes every time")
  func folder() throws {
    var options = PhantomOptions()
    options.trainingCaseCount = 2
    options.heldOutCaseCount = 1
    let parent = try Goldens.temporaryFolder("phantom")
    defer { try? FileManager.default.removeItem(at: parent) }
    let folders = [parent.appending(path: "a"), parent.appending(path: "b")]
    for folder in folders { try makePhantomDataset(at: folder, options: options) }
    let names = [
      "dataset.json", "imagesTr/phantom_000_0000.nii.gz", "imagesTr/phantom_001_0000.nii.gz",
      "labelsTr/phantom_000.nii.gz", "labelsTr/phantom_001.nii.gz", "imagesTs/phantom_002_0000.nii.gz",
      "labelsTs/phantom_002.nii.gz",
    ]
    for name in names {
      let bytes = try folders.map { try Data(contentsOf: $0.appending(path: name)) }
      #expect(bytes[0] == bytes[1], "\(name)")
    }
    let description = try DatasetDescription(contentsOf: folders[0].appending(path: "dataset.json"))
    #expect(description.trainingCaseCount == 2)
    #expect(description.labels.foregroundLabels == [1, 2])
    let expected = makePhantomCase(index: 2, options: options)
    let image = try readImage(folders[0].appending(path: names[5]))
    let labels = try readLabels(folders[0].appending(path: names[6]))
    #expect(image.voxels == expected.image.voxels)
    #expect(labels.voxels == expected.labels.voxels)
    #expect(image.geometry.spacing == expected.image.geometry.spacing)
    #expect(image.geometry.origin == labels.geometry.origin)
  }
}
