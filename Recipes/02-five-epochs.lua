-- Purpose: define a trainer of one's own name: five epochs, another learning rate, less noise, and watch it.
-- Data: the phantom, made in ./lunette-demo; another dataset's number or name as the argument.
-- Minutes: 3 on the phantom, on two cores. The short epochs are for the phantom: leave `iterations` out for real data.
-- last line: five epochs: mean foreground Dice 0\.[5-9].*
if not arg[1] then lunette.roots{ root="lunette-demo" } end
local ds = arg[1] and lunette.dataset(tonumber(arg[1]) or arg[1]) or lunette.phantom()

local five = lunette.trainer{
  name = "MyFiveEpochs", epochs = 5, iterations = 15, validation_iterations = 3,
  schedule = function(t) return t.initial_lr * (1 - t.epoch / t.epochs) end,
  augmentation = function(pipeline) return pipeline:set("gaussian_noise", { probability=0.05 }) end,
  observe = {
    epoch_end = function(s) print(("epoch %d of 5: %.0f s, loss %.3f"):format(s.epoch + 1, s.seconds, s.train_loss)) end,
  },
}
print(five)

local run = lunette.train{ plan=lunette.plan(ds), configuration="3d_fullres", fold=0, trainer=five }
run:plot("five-epochs.png")
local scores = run:validate()
print(("five epochs: mean foreground Dice %.3f"):format(scores.foreground_mean.Dice))
