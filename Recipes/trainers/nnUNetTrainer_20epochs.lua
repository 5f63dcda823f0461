-- Purpose: nnU-Net's trainer with 20 epochs.
-- Use: lunette train DATASET CONFIGURATION FOLD -tr nnUNetTrainer_20epochs
return lunette.trainer{ name="nnUNetTrainer_20epochs", epochs=20 }
