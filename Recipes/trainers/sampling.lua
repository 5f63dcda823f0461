-- nnU-Net's trainers that force foreground by chance, sample by sample, in place of the last samples of every batch.
-- Trainers: nnUNetTrainer_probabilisticOversampling
-- Trainers: nnUNetTrainer_probabilisticOversampling_033 nnUNetTrainer_probabilisticOversampling_010
local trainer = lunette.trainer
return {
  -- As likely as the share that the last samples of a batch of this size come to: one half at a batch of two.
  trainer{ name="nnUNetTrainer_probabilisticOversampling", oversampling="matched" },
  trainer{ name="nnUNetTrainer_probabilisticOversampling_033", oversampling="random", foreground_fraction=0.33 },
  trainer{ name="nnUNetTrainer_probabilisticOversampling_010", oversampling="random", foreground_fraction=0.1 },
}
