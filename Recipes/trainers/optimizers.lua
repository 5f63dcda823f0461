-- nnU-Net's trainers that differ in their optimizer or in how the learning rate falls.
-- Trainers: nnUNetTrainerAdam nnUNetTrainerAdam1en3 nnUNetTrainerAdam3en4
-- Trainers: nnUNetTrainerVanillaAdam nnUNetTrainerVanillaAdam1en3 nnUNetTrainerVanillaAdam3en4
-- Trainers: nnUNetTrainerAdan nnUNetTrainerAdan1en1 nnUNetTrainerAdan1en3 nnUNetTrainerAdan3en4 nnUNetTrainerAdanCosAnneal
-- Trainers: nnUNetTrainerCosAnneal nnUNetTrainer_warmup
local trainer = lunette.trainer
local trainers = {
  trainer{ name="nnUNetTrainerCosAnneal", lr_schedule="cosine" },
  trainer{ name="nnUNetTrainer_warmup", warmup_epochs=50 },
  trainer{ name="nnUNetTrainerAdanCosAnneal", optimizer="adan", lr_schedule="cosine" },
}
local rates = { [""]=0.01, ["1en3"]=1e-3, ["3en4"]=3e-4, ["1en1"]=0.1 }
for suffix, rate in pairs(rates) do
  -- nnU-Net's "Adam" is AdamW with amsgrad; its "VanillaAdam" is Adam.
  if suffix ~= "1en1" then
    trainers[#trainers + 1] =
      trainer{ name="nnUNetTrainerAdam" .. suffix, optimizer="adamw", amsgrad=true, initial_lr=rate }
    trainers[#trainers + 1] = trainer{ name="nnUNetTrainerVanillaAdam" .. suffix, optimizer="adam", initial_lr=rate }
  end
  trainers[#trainers + 1] = trainer{ name="nnUNetTrainerAdan" .. suffix, optimizer="adan", initial_lr=rate }
end
return trainers
