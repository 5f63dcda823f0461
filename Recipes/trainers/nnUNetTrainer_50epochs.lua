-- Purpose: nnU-Net's trainer with 50 epochs.
-- Use: lunette train DATASET CONFIGURATION FOLD -tr nnUNetTrainer_50epochs
return lunette.trainer{ name="nnUNetTrainer_50epochs", epochs=50 }
