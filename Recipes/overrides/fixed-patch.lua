-- Purpose: choose the patch of one configuration; network, batch size and estimate follow from it.
-- Data: the phantom, made in ./lunette-demo; another dataset's number or name as the argument.
-- last line: fixed patch: 32 x 32 x 32, batch [0-9]+, [0-9]+ stages
if not arg[1] then lunette.roots{ root="lunette-demo" } end
local ds = arg[1] and lunette.dataset(tonumber(arg[1]) or arg[1]) or lunette.phantom()

local plan = lunette.plan{
  dataset = ds, name = "nnUNetPlans_patch32",
  rules = {
    patch_size = function(ctx, default)
      if ctx.configuration == "3d_fullres" then return { 32, 32, 32 } end
    end,
  },
}

print(plan:why("3d_fullres.patch_size"))
local c = plan.configurations["3d_fullres"]
print(("fixed patch: %s, batch %d, %d stages"):format(
  table.concat(c.patch_size, " x "), c.batch_size, c.architecture.arch_kwargs.n_stages))
