-- Purpose: nnU-Net's trainer without mirroring, in training and in prediction, for anatomy whose sides differ.
-- Use: lunette train DATASET CONFIGURATION FOLD -tr nnUNetTrainer_NoMirroring
return lunette.trainer{ name="nnUNetTrainer_NoMirroring", mirror_axes={} }
