-- nnU-Net's trainers that differ in their loss. Whether Dice sums over the batch is the plan's word, as in nnU-Net.
-- Trainers: nnUNetTrainerCELoss nnUNetTrainerCELoss_5epochs nnUNetTrainerDiceLoss nnUNetTrainerDiceCELoss_noSmooth
-- Trainers: nnUNetTrainerTopk10Loss nnUNetTrainerTopk10LossLS01 nnUNetTrainerDiceTopK10Loss
-- Trainers: nnUNetTrainerNoDeepSupervision
local loss, trainer = lunette.loss, lunette.trainer
return {
  trainer{ name="nnUNetTrainerCELoss", loss=loss.cross_entropy{} },
  trainer{ name="nnUNetTrainerCELoss_5epochs", loss=loss.cross_entropy{}, epochs=5 },
  trainer{ name="nnUNetTrainerDiceLoss", loss=loss.dice{} },
  trainer{ name="nnUNetTrainerDiceCELoss_noSmooth", loss=loss.dice{ smoothing=0 } + loss.cross_entropy{} },
  trainer{ name="nnUNetTrainerTopk10Loss", loss=loss.top_k{ percent=10 } },
  trainer{ name="nnUNetTrainerTopk10LossLS01", loss=loss.top_k{ percent=10, label_smoothing=0.1 } },
  trainer{ name="nnUNetTrainerDiceTopK10Loss", loss=loss.dice{} + loss.top_k{ percent=10 } },
  trainer{ name="nnUNetTrainerNoDeepSupervision", deep_supervision=false },
}
