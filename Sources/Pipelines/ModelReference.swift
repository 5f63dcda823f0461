// Trained configurations and ensembles by name: how nnU-Net calls their folders.

package import Datasets
package import Foundation
package import Reporting

/// A trained configuration by what its folder is named after.
package struct ModelReference: Sendable, Hashable {
  package var trainer: String
  package var plans: String
  package var configuration: String

  package init(trainer: String = "nnUNetTrainer", plans: String = "nnUNetPlans", configuration: String) {
    self.trainer = trainer
    self.plans = plans
    self.configuration = configuration
  }

  /// Reads `TRAINER__PLANS__CONFIGURATION`.
  package init(folderName: String) throws(Diagnostic) {
    let parts = folderName.components(separatedBy: "__")
    guard parts.count == 3, !parts.contains("") else {
      throw Diagnostic(
        "this is no model's folder", at: folderName, expected: "TRAINER__PLANS__CONFIGURATION",
        found: folderName, remedy: "give the folder that holds fold_0 and its like")
    }
    self.init(trainer: parts[0], plans: parts[1], configuration: parts[2])
  }

  /// The folder of the model in the results.
  package var folderName: String { "\(trainer)__\(plans)__\(configuration)" }

  /// The arguments by which the command line names it, defaults left out.
  package var arguments: String {
    var text = "-c \(configuration)"
    if trainer != "nnUNetTrainer" { text += " -tr \(trainer)" }
    if plans != "nnUNetPlans" { text += " -p \(plans)" }
    return text
  }

  /// The command that trains one fold of it.
  package func trainingCommand(dataset: String, fold: Fold) -> String {
    var text = "lunette train \(dataset) \(configuration) \(fold)"
    if trainer != "nnUNetTrainer" { text += " -tr \(trainer)" }
    if plans != "nnUNetPlans" { text += " -p \(plans)" }
    return text
  }
}

/// Where a trained model lies.
package enum ModelLocation: Sendable, Equatable {
  /// In the results folder, by the full name of its dataset and its own.
  case results(dataset: String, ModelReference)
  /// In a folder of its own, whatever that is called.
  case folder(URL)
}

extension Sequence<Fold> {
  /// The folds as nnU-Net joins them in names: `0_1_2_3_4`.
  package var joinedName: String { map(\.description).joined(separator: "_") }
}

/// The folder name of an ensemble's cross-validation.
package func ensembleName(_ members: [ModelReference], folds: [Fold]) -> String {
  (["ensemble"] + members.map(\.folderName) + [folds.joinedName]).joined(separator: "___")
}
