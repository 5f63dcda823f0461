// The list of commands, as `lunette --help` shows it.

import ArgumentParser

/// `lunette` itself.
struct RootCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lunette",
    abstract: "nnU-Net as one native program: measure a dataset, plan, train, predict, score.",
    discussion: """
      The commands are nnU-Net's without the prefix nnUNetv2_, and take its flags. Data lies where the variables \
      nnUNet_raw, nnUNet_preprocessed and nnUNet_results say, or in raw, preprocessed and results below --root \
      DIR. Without a command, an interactive Lua session starts.
      """,
    version: Version.text,
    subcommands: [
      PlanAndPreprocessCommand.self, VerifyDatasetCommand.self, ExtractFingerprintCommand.self,
      PlanExperimentCommand.self, PreprocessCommand.self, TrainCommand.self, TrainersCommand.self,
      PredictCommand.self,
      PredictFromModelFolderCommand.self,
      EvaluateFolderCommand.self,
      EvaluateSimpleCommand.self,
      CompareResultsCommand.self,
      AccumulateCrossValidationCommand.self,
      FindBestConfigurationCommand.self,
      EnsembleCommand.self,
      DeterminePostprocessingCommand.self,
      ApplyPostprocessingCommand.self,
      PlotOverlayCommand.self,
      PreviewAugmentationCommand.self,
      ViewCommand.self,
      InfoCommand.self,
      ConvertDecathlonCommand.self,
      ConvertOldDatasetCommand.self, MovePlansCommand.self,
      ExportCheckpointCommand.self, ExportModelCommand.self, InstallModelCommand.self,
      DownloadModelCommand.self,
      RunCommand.self, NotebookCommand.self, NewCommand.self, DemoCommand.self, DoctorCommand.self,
      VersionCommand.self, SessionCommand.self,
    ],
    defaultSubcommand: SessionCommand.self)
}
