// The main job, top to bottom: from a folder of raw scans to a trained model, its predictions and its scores.
// Each step is one method; the files Pipeline+*.swift hold them, in the order in which they are called here.

package import Datasets
package import Reporting

/// The stages of the job over one set of folders.
package struct Pipeline: Sendable {
  /// Where raw data, preprocessed data and results live.
  package var roots: DatasetRoots
  package var progress: any ProgressSink
  /// Polled between steps, cases and tiles.
  package var cancellation: CancellationFlag
  /// What a trainer's name stands for; hosts that can run a trainer's file put their own in.
  package var trainerLoader: @Sendable (TrainerReference) throws -> TrainerDefinition = TrainerDefinition
    .builtIn

  package init(
    roots: DatasetRoots, progress: any ProgressSink = SilentProgress(),
    cancellation: CancellationFlag = CancellationFlag()
  ) {
    self.roots = roots
    self.progress = progress
    self.cancellation = cancellation
  }

  /// The whole job for one configuration and fold.
  ///
  /// Steps whose result is there already (fingerprint, preprocessed cases, a finished training) are not repeated.
  package func run(_ job: Job) throws -> JobReport {
    let dataset = try openDataset(job.dataset)
    try verify(dataset)

    let fingerprint = try extractFingerprint(of: dataset)
    let plans = try planExperiment(for: dataset, fingerprint, job.planning)
    try preprocess(dataset, by: plans, configurations: [job.training.configuration])

    let run = try train(job.training)
    let summary = try validate(run, job.validation)

    return try writeReport(on: run, summary, dataset: dataset, to: job.reportFolder)
  }
}
