-- Purpose: the whole job: verify, fingerprint, plan, preprocess, train one fold, predict its held-out cases, score.
-- Data: a dataset's number or name as the argument; without one the phantom, which is made in ./lunette-demo.
-- Minutes: 5 on the phantom; on Dataset004_Hippocampus about 25, on two cores.
-- last line: mean foreground Dice 0\.[5-9].*
local name = arg[1]
local ds, trainer
if name then
  ds = lunette.dataset(tonumber(name) or name)
  trainer = lunette.trainer{ name="nnUNetTrainer_220iterations", epochs=10, iterations=22, validation_iterations=2 }
else
  lunette.roots{ root="lunette-demo" }
  ds = lunette.phantom()
  trainer = lunette.trainer{ name="nnUNetTrainer_first_run", epochs=6, iterations=25, validation_iterations=4 }
end

print("dataset", ds.name, #ds.cases .. " cases", table.concat(ds.channels, ", "))
ds:verify()

local plan = lunette.plan(ds)
print(plan:why("3d_fullres.patch_size"))

local run = lunette.train{
  plan = plan, configuration = "3d_fullres", fold = 0,
  trainer = trainer:derive{
    observe = { epoch_end = function(s)
      print(("epoch %d: loss %.3f, pseudo Dice %.3f"):format(s.epoch + 1, s.train_loss, s.ema_dice))
    end },
  },
}
print(run)
print(run:report("report-" .. ds.name))
