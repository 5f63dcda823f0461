// The trainers that nnU-Net has, by name: a checkpoint that names another cannot be used there.

/// The trainer classes of nnU-Net.
///
/// - Source: the classes below `nnunetv2.training.nnUNetTrainer` of nnU-Net 2.8.1.
enum NNUNetTrainers {
  /// The class that every other derives from; it builds the network that the plans describe.
  static let base = "nnUNetTrainer"

  static func contains(_ name: String) -> Bool {
    guard name.hasPrefix(base) else { return false }
    return suffixes.contains(String(name.dropFirst(base.count)))
  }

  private static let suffixes: Set = [
    "", "Adam", "Adam1en3", "Adam3en4", "Adan", "Adan1en1", "Adan1en3", "Adan3en4", "AdanCosAnneal", "BN",
    "Benchmark_5epochs", "Benchmark_5epochs_noDataLoading", "CELoss", "CELoss_5epochs", "CosAnneal", "DA5",
    "DA5Segord0", "DA5_10epochs", "DA5ord0", "DiceCELoss_noSmooth", "DiceLoss", "DiceTopK10Loss", "NoDA",
    "NoDeepSupervision", "NoMirroring", "Topk10Loss", "Topk10LossLS01", "VanillaAdam", "VanillaAdam1en3",
    "VanillaAdam3en4", "_1epoch", "_5epochs", "_10epochs", "_20epochs", "_50epochs", "_100epochs",
    "_250epochs", "_250epochs_NoMirroring", "_500epochs", "_750epochs", "_2000epochs",
    "_2000epochs_NoMirroring", "_4000epochs", "_4000epochs_NoMirroring", "_8000epochs",
    "_8000epochs_NoMirroring", "_DASegOrd0", "_DASegOrd0_NoMirroring", "_noDummy2DDA", "_onlyMirror01",
    "_onlyMirror01_1500ep", "_onlyMirror01_DA5", "_onlyMirror01_DASegOrd0", "_probabilisticOversampling",
    "_probabilisticOversampling_010", "_probabilisticOversampling_033", "_warmup",
  ]
}
