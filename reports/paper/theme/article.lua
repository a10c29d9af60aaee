-- Numbers sections, figures, tables and equations, and turns @fig:x, @tbl:x, @eq:x, @sec:x into
-- links. Runs before citeproc, for HTML and Typst alike: the numbers are text from here on, so the
-- two cannot differ. What is for the screen alone (see screen.lua) counts by itself: S1, S2, ...

local SCREEN = dofile(pandoc.path.join {pandoc.path.directory(PANDOC_SCRIPT_FILE), 'screen.lua'})
local NAMES = {fig = 'Figure', tbl = 'Table', eq = 'Equation'}
local labels = {}                              -- id -> 'Figure 3'
local counts = {fig = 0, tbl = 0, eq = 0}
local screen_counts = {fig = 0, tbl = 0, eq = 0}
local on_screen = {}                           -- the ids that are for the screen alone
local sections = {0, 0, 0, 0, 0, 0}
local appendix = false

local function kind_of(id)
  return id:match '^(%a+):'
end

-- The next number of a kind, remembered under the id.
local function take(kind, id)
  local mine = on_screen['#' .. id] and screen_counts or counts
  mine[kind] = mine[kind] + 1
  local number = (mine == screen_counts and 'S' or '') .. mine[kind]
  labels[id] = NAMES[kind] .. '\u{a0}' .. number
  return number
end

local function labelled(caption, id)
  local first = caption.long[1]
  local label = pandoc.Span({pandoc.Strong {pandoc.Str(labels[id] .. '.')}}, {class = 'label'})
  if first then
    first.content:insert(1, pandoc.Space())
    first.content:insert(1, label)
  else
    caption.long = pandoc.Blocks {pandoc.Plain {label}}
  end
  return caption
end

local function section_number(level)
  local numbers = {}
  for i = 1, level do
    numbers[i] = tostring(sections[i])
  end
  if appendix then
    numbers[1] = string.char(64 + sections[1])
  end
  return table.concat(numbers, '.')
end

local function number_header(header)
  if header.classes:includes 'unnumbered' then return nil end
  if header.level == 1 and header.classes:includes 'appendix' and not appendix then
    appendix, sections[1] = true, 0
  end
  sections[header.level] = sections[header.level] + 1
  for i = header.level + 1, #sections do sections[i] = 0 end
  local number = section_number(header.level)
  labels[header.identifier] = (appendix and 'Appendix' or 'Section') .. '\u{a0}' .. number
  header.content:insert(1, pandoc.Span({pandoc.Str(number .. '\u{2002}')}, {class = 'number'}))
  return header
end

local function number_figure(figure)
  if kind_of(figure.identifier) ~= 'fig' then return nil end
  take('fig', figure.identifier)
  figure.caption = labelled(figure.caption, figure.identifier)
  return figure, false
end

-- Widths are given in percent of the line, '8 47 ...'; the first column heads its row.
local function number_table(div)
  take('tbl', div.identifier)
  local widths = {}
  for width in (div.attributes.widths or ''):gmatch '%S+' do
    widths[#widths + 1] = tonumber(width) / 100
  end
  div.attributes.widths = nil
  div.content = div.content:walk {
    Table = function(found)
      found.caption = labelled(found.caption, div.identifier)
      for i, width in ipairs(widths) do
        found.colspecs[i] = {found.colspecs[i][1], width}
      end
      for _, body in ipairs(found.bodies) do body.row_head_columns = 1 end
      return found
    end
  }
  return div, false
end

local function number_equation(div)
  local number = take('eq', div.identifier)
  div.classes:insert 'equation'
  div.attributes.number = number
  if not FORMAT:match 'typst' then
    div.attributes.alt = nil
    local tag = pandoc.Span({pandoc.Str('(' .. number .. ')')}, {class = 'number'})
    div.content:insert(pandoc.Plain {tag})
  end
  return div, false
end

local function number_div(div)
  local kind = kind_of(div.identifier)
  if kind == 'tbl' then return number_table(div) end
  if kind == 'eq' then return number_equation(div) end
  return nil
end

local function reference(id)
  local text = labels[id]
  if not text then error('no label ' .. id) end
  return pandoc.Link({pandoc.Str(text)}, '#' .. id, '', {class = 'ref'})
end

local function is_ours(citation)
  local kind = kind_of(citation.id)
  return kind == 'sec' or NAMES[kind or ''] ~= nil
end

local function link_references(cite)
  if not is_ours(cite.citations[1]) then return nil end
  local out = pandoc.Inlines {}
  for i, citation in ipairs(cite.citations) do
    if i > 1 then
      out:insert(pandoc.Str(i == #cite.citations and '\u{a0}and' or ','))
      out:insert(pandoc.Space())
    end
    out:insert(reference(citation.id))
  end
  return out
end

-- Small print is a matter of paper; and headings inside of a Div are in no table of contents.
local function unwrapped(div)
  if div.classes:includes 'dense' or div.classes:includes 'small' then return div.content end
end

function Pandoc(doc)
  on_screen = SCREEN.ids(doc.blocks)
  doc.blocks = doc.blocks:walk {
    traverse = 'topdown',
    Header = number_header,
    Figure = number_figure,
    Div = number_div,
  }
  local function finished(blocks)
    local linked = blocks:walk {Cite = link_references}
    if FORMAT:match 'html' then return linked:walk {Div = unwrapped} end
    return SCREEN.without(linked, on_screen)
  end
  doc.blocks = finished(doc.blocks)
  if doc.meta.abstract then
    doc.meta.abstract = pandoc.MetaBlocks(finished(pandoc.Blocks(doc.meta.abstract)))
  end
  return doc
end
