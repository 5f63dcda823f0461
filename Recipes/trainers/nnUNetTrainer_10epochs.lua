-- Purpose: nnU-Net's trainer with 10 epochs.
-- Use: lunette train DATASET CONFIGURATION FOLD -tr nnUNetTrainer_10epochs
return lunette.trainer{ name="nnUNetTrainer_10epochs", epochs=10 }
