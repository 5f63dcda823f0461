-- nnU-Net's trainers that only measure: five epochs, no checkpoints, no validation, the fastest epoch in
-- benchmark_result.json. The second takes one random batch over and over, and so leaves out what data costs.
-- Trainers: nnUNetTrainerBenchmark_5epochs nnUNetTrainerBenchmark_5epochs_noDataLoading
local trainer = lunette.trainer
return {
  trainer{ name="nnUNetTrainerBenchmark_5epochs", epochs=5, benchmark=true },
  trainer{ name="nnUNetTrainerBenchmark_5epochs_noDataLoading", epochs=5, benchmark=true, data_loading=false },
}
