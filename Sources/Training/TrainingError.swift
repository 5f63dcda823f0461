// What can go wrong inside the training loop itself.

package import Reporting

/// The loss stopped being a number.
package struct TrainingDiverged: DiagnosableError {
  package let epoch: Int
  package let iteration: Int
  /// The cases of the batch at hand.
  package let cases: [String]
  package let learningRate: Double

  package var diagnostic: Diagnostic {
    Diagnostic(
      "the training loss is not a finite number", at: "epoch \(epoch + 1), iteration \(iteration + 1)",
      expected: "a finite loss",
      found:
        "NaN or infinity at learning rate \(learningRate) on \(Set(cases).sorted().joined(separator: ", "))",
      remedy:
        "check these cases (lunette verify_dataset), lower initial_lr, and look at a loss of your own for what has no value "
        + "(logarithms, divisions); the last checkpoint is untouched"
    )
  }
}
