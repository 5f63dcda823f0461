-- Purpose: nnU-Net's trainer with five epochs, to see whether everything works.
-- Use: lunette train DATASET CONFIGURATION FOLD -tr nnUNetTrainer_5epochs
return lunette.trainer{ name="nnUNetTrainer_5epochs", epochs=5 }
