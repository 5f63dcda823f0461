-- Purpose: decide which cases train and which validate: three folds of neighbouring cases, as for scans of one patient.
-- Data: the phantom, made in ./lunette-demo/own-splits, so that the folds of other recipes stay.
-- last line: own splits: 3 folds, [0-9]+ cases in all, the first validates on [0-9]+
lunette.roots{ root="lunette-demo/own-splits" }
local ds = lunette.phantom()

local folds = ds:splits{
  overwrite = true,
  rule = function(cases, default)
    local folds = {}
    for fold = 1, 3 do
      folds[fold] = { train={}, val={} }
      for i, case in ipairs(cases) do
        local part = (i - 1) * 3 // #cases + 1 == fold and "val" or "train"
        table.insert(folds[fold][part], case)
      end
    end
    return folds
  end,
}

print(table.concat(folds[1].val, " "))
print(("own splits: %d folds, %d cases in all, the first validates on %d"):format(#folds, #ds.cases, #folds[1].val))
