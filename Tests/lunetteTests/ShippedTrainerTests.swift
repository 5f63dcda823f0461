// nnU-Net's trainers by name: each class of its variants is found, and is set as it is there.

import Foundation
import TestSupport
import Testing

@Suite struct ShippedTrainerTests {
  private static let program = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
    .appending(path: "lunette")

  /// The classes of nnU-Net 2.8.1's variants (augmentation excepted) and how `lunette trainers` describes
  /// them.
  private static let expected: [(String, String)] = [
    ("nnUNetTrainer", "nnU-Net's default"),
    ("nnUNetTrainer_1epoch", "epochs=1"), ("nnUNetTrainer_5epochs", "epochs=5"),
    ("nnUNetTrainer_10epochs", "epochs=10"), ("nnUNetTrainer_20epochs", "epochs=20"),
    ("nnUNetTrainer_50epochs", "epochs=50"), ("nnUNetTrainer_100epochs", "epochs=100"),
    ("nnUNetTrainer_250epochs", "epochs=250"), ("nnUNetTrainer_500epochs", "epochs=500"),
    ("nnUNetTrainer_750epochs", "epochs=750"), ("nnUNetTrainer_2000epochs", "epochs=2000"),
    ("nnUNetTrainer_4000epochs", "epochs=4000"), ("nnUNetTrainer_8000epochs", "epochs=8000"),
    ("nnUNetTrainer_250epochs_NoMirroring", "epochs=250, mirror_axes=[]"),
    ("nnUNetTrainer_2000epochs_NoMirroring", "epochs=2000, mirror_axes=[]"),
    ("nnUNetTrainer_4000epochs_NoMirroring", "epochs=4000, mirror_axes=[]"),
    ("nnUNetTrainer_8000epochs_NoMirroring", "epochs=8000, mirror_axes=[]"),
    ("nnUNetTrainerNoMirroring", "mirror_axes=[]"),
    ("nnUNetTrainerCELoss", "its own loss"), ("nnUNetTrainerCELoss_5epochs", "epochs=5, its own loss"),
    ("nnUNetTrainerDiceLoss", "its own loss"), ("nnUNetTrainerDiceCELoss_noSmooth", "its own loss"),
    ("nnUNetTrainerTopk10Loss", "its own loss"), ("nnUNetTrainerTopk10LossLS01", "its own loss"),
    ("nnUNetTrainerDiceTopK10Loss", "its own loss"),
    ("nnUNetTrainerNoDeepSupervision", "deep_supervision=false"),
    ("nnUNetTrainerBN", "its own network"),
    ("nnUNetTrainerCosAnneal", "lr_schedule=\"cosine\""), ("nnUNetTrainer_warmup", "warmup_epochs=50"),
    ("nnUNetTrainerAdam", "optimizer=\"adamw\", amsgrad=true"),
    ("nnUNetTrainerAdam1en3", "initial_lr=0.001, optimizer=\"adamw\", amsgrad=true"),
    ("nnUNetTrainerAdam3en4", "initial_lr=0.0003, optimizer=\"adamw\", amsgrad=true"),
    ("nnUNetTrainerVanillaAdam", "optimizer=\"adam\""),
    ("nnUNetTrainerVanillaAdam1en3", "initial_lr=0.001, optimizer=\"adam\""),
    ("nnUNetTrainerVanillaAdam3en4", "initial_lr=0.0003, optimizer=\"adam\""),
    ("nnUNetTrainerAdan", "optimizer=\"adan\""),
    ("nnUNetTrainerAdan1en3", "initial_lr=0.001, optimizer=\"adan\""),
    ("nnUNetTrainerAdan3en4", "initial_lr=0.0003, optimizer=\"adan\""),
    ("nnUNetTrainerAdan1en1", "initial_lr=0.1, optimizer=\"adan\""),
    ("nnUNetTrainerAdanCosAnneal", "optimizer=\"adan\", lr_schedule=\"cosine\""),
    ("nnUNetTrainer_probabilisticOversampling", "oversampling=\"matched\""),
    ("nnUNetTrainer_probabilisticOversampling_033", "oversampling=\"random\""),
    ("nnUNetTrainer_probabilisticOversampling_010", "foreground_fraction=0.1, oversampling=\"random\""),
    ("nnUNetTrainerBenchmark_5epochs", "epochs=5, benchmark=true"),
    ("nnUNetTrainerBenchmark_5epochs_noDataLoading", "epochs=5, benchmark=true, data_loading=false"),
  ]

  @Test(
    "Every class of nnU-Net's variants is found, set as it is there",
    arguments: [["trainers"], ["train", "--list-trainers"]])
  func classes(_ arguments: [String]) throws {
    let process = Process()
    process.executableURL = Self.program
    process.arguments = arguments
    process.currentDirectoryURL = Goldens.repository
    process.environment = ["PATH": "/usr/bin:/bin", "HOME": NSTemporaryDirectory()]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    #expect(!text.contains("unusable"), "\(text)")
    var listed: [String: String] = [:]
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
      if parts.count == 2 { listed[String(parts[0])] = parts[1].trimmingCharacters(in: .whitespaces) }
    }
    for (name, difference) in Self.expected { #expect(listed[name] == difference, "\(name)") }
  }
}
