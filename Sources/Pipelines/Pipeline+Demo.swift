// The demo: the whole job on a dataset that the program makes itself.

import Datasets
package import Foundation

extension Pipeline {
  /// Makes the phantom in `folder/raw` and runs the job on it; `roots` must lie in `folder`.
  package func runDemo(in folder: URL, seed: UInt64 = 0) throws -> JobReport {
    let raw = try roots.rawFolder(of: phantomDatasetName)
    if !FileManager.default.fileExists(atPath: raw.appending(path: "dataset.json").path) {
      try makePhantomDataset(at: raw, progress: progress)
    }
    return try run(demoJob(reportFolder: folder.appending(path: "report"), seed: seed))
  }

  /// One fold of 3d_fullres with a schedule of a few minutes.
  private func demoJob(reportFolder: URL, seed: UInt64) -> Job {
    Job(
      dataset: phantomDatasetName,
      training: TrainingRequest(
        dataset: phantomDatasetName, configuration: "3d_fullres", fold: .number(0),
        trainer: TrainerReference(name: TrainerDefinition.demoName), start: .whateverIsThere, seed: seed),
      reportFolder: reportFolder)
  }
}
