-- nnU-Net's trainers that differ in their number of epochs, and in mirroring.
-- Trainers: nnUNetTrainer_1epoch nnUNetTrainer_250epochs nnUNetTrainer_500epochs nnUNetTrainer_750epochs
-- Trainers: nnUNetTrainer_2000epochs nnUNetTrainer_4000epochs nnUNetTrainer_8000epochs nnUNetTrainerNoMirroring
-- Trainers: nnUNetTrainer_250epochs_NoMirroring nnUNetTrainer_2000epochs_NoMirroring
-- Trainers: nnUNetTrainer_4000epochs_NoMirroring nnUNetTrainer_8000epochs_NoMirroring
local trainers = { lunette.trainer{ name="nnUNetTrainerNoMirroring", mirror_axes={} } }
for _, epochs in ipairs{ 1, 250, 500, 750, 2000, 4000, 8000 } do
  local name = ("nnUNetTrainer_%depoch%s"):format(epochs, epochs == 1 and "" or "s")
  trainers[#trainers + 1] = lunette.trainer{ name=name, epochs=epochs }
  trainers[#trainers + 1] = lunette.trainer{ name=name .. "_NoMirroring", epochs=epochs, mirror_axes={} }
end
return trainers
