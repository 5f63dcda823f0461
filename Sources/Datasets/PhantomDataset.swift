// Writes the built-in phantom dataset in nnU-Net's raw layout. The images themselves come from `makePhantomCase`.

import Archives
package import Foundation
package import Reporting
import Synchronization
import Tensors
import VolumeFormats

/// The folder name the phantom dataset goes by below `raw`.
package let phantomDatasetName = "Dataset999_Phantom"

/// Writes a small segmentation task that needs shape, not brightness, as an nnU-Net raw dataset.
///
/// The folder gets `dataset.json`, `imagesTr` and `labelsTr`, and `imagesTs` with `labelsTs` for scoring the
/// held-out cases. The same options give the same voxels on any machine and with any number of threads.
package func makePhantomDataset(
  at datasetFolder: URL, options: PhantomOptions = PhantomOptions(),
  progress: any ProgressSink = SilentProgress()
) throws {
  let total = options.trainingCaseCount + options.heldOutCaseCount
  try requireWritableFolder(datasetFolder)
  progress.begin("make the phantom", total: total)
  defer { progress.end() }
  let completed = Atomic(0)
  _ = try parallelMap(total) { index in
    let phantom = makePhantomCase(index: index, options: options)
    let part = index < options.trainingCaseCount ? "Tr" : "Ts"
    let image = datasetFolder.appending(path: "images\(part)/\(phantom.identifier)_0000.nii.gz")
    let labels = datasetFolder.appending(path: "labels\(part)/\(phantom.identifier).nii.gz")
    for url in [image, labels] { try createFolder(url.deletingLastPathComponent()) }
    try writeImage(phantom.image, to: image)
    try writeLabels(phantom.labels, to: labels, maximumLabel: 2)
    let count = completed.add(1, ordering: .relaxed).newValue
    progress.update(completed: count, detail: phantom.identifier)
  }
  try phantomDescription(options).write(to: datasetFolder.appending(path: "dataset.json"))
}

/// The `dataset.json` of the phantom.
private func phantomDescription(_ options: PhantomOptions) -> JSON {
  var channels = JSONObject()
  channels["0"] = .string("MR")
  var labels = JSONObject()
  labels["background"] = .integer(0)
  labels["shell"] = .integer(1)
  labels["core"] = .integer(2)
  var description = JSONObject()
  description["channel_names"] = .object(channels)
  description["labels"] = .object(labels)
  description["numTraining"] = .integer(options.trainingCaseCount)
  description["file_ending"] = .string(".nii.gz")
  description["name"] = .string("Phantom")
  description["description"] = .string(
    "Ellipsoids with a core, among hollow spheres and rods of the same brightness; computed, no patient data")
  return .object(description)
}
