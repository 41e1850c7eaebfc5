# Draws the terrain: gnuplot -c terrain.gp <elevations> <picture.png> <title>
#
# <elevations> is examples/data/jacksboro_fault_elevation.npy, or a text file with one elevation in
# metres per line (lines that are no number are skipped). Both hold 344 rows of 403 values, rows from
# north to south.

file = ARG1
picture = ARG2
rows = 344
columns = 403

# What to plot as a grid of (column, -row, elevation), so that north is up. gnuplot takes lines for a
# grid where its rows are separated by blank lines, which awk adds.
if (file[strlen(file) - 3:] eq ".npy") {
  grid = "file binary skip=80 array=(403,344) format='%int16' endian=little flipy origin=(0,1 - rows,0)"
} else {
  split_rows = sprintf("< awk '$1 + 0 == $1 { if (n && n %% %d == 0) print \"\"; n++; print $1 }' '%s'", \
                       columns, file)
  grid = "split_rows using (int($0) % columns):(-column(-1)):1"
}

set terminal pngcairo size 900,800
set output picture
set title ARG3 font ",16" offset 0,-0.5

# A degree of longitude is cos(36.6 degrees) = 0.8 of a degree of latitude.
set view map
set size ratio rows / (0.8 * columns)
set xrange [0:columns - 1]
set yrange [1 - rows:0]
unset xtics
unset ytics
unset key
set lmargin at screen 0.02
set rmargin at screen 0.85
set bmargin at screen 0.02
set tmargin at screen 0.94

set cbrange [230:1080]
set cblabel "elevation (m)"
set palette defined (230 "#2d6a4f", 330 "#74a57f", 450 "#d9d2a5", 650 "#b5835a", 850 "#7f5539", 1080 "#ffffff")

set style fill solid 1 noborder
set pm3d lighting primary 0.6 specular 0
splot @grid with pm3d
