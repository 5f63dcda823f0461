-- Purpose: nnU-Net's trainer with 100 epochs.
-- Use: lunette train DATASET CONFIGURATION FOLD -tr nnUNetTrainer_100epochs
return lunette.trainer{ name="nnUNetTrainer_100epochs", epochs=100 }
