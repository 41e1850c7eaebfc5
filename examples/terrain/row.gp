# The picture in README.md, after script/quickstart:
#
#   gnuplot -c examples/terrain/row.gp quickstart-output docs/terrain.png
#
# Shapes and colours are those of terrain.gp, which says what they mean.

rows = 344
columns = 403
grid(k) = sprintf("< awk '$1 + 0 == $1 { if (n && n %% %d == 0) print \"\"; n++; print $1 }' '%s/grade_%d.txt'", columns, ARG1, k)

set terminal pngcairo size 1000,290 font ",10"
set output ARG2
set view map
set size ratio rows / (0.8 * columns)
set xrange [0:columns - 1]
set yrange [1 - rows:0]
unset xtics
unset ytics
unset key
unset colorbox
set cbrange [230:1080]
set palette defined (230 "#2d6a4f", 330 "#74a57f", 450 "#d9d2a5", 650 "#b5835a", 850 "#7f5539", 1080 "#ffffff")
set style fill solid 1 noborder
set pm3d lighting primary 0.6 specular 0

set multiplot layout 1,4 margins 0.005,0.995,0.01,0.86 spacing 0.01,0
set title "the land"
splot "examples/data/jacksboro_fault_elevation.npy" \
  binary skip=80 array=(403,344) format='%int16' endian=little flipy origin=(0,1 - rows,0) with pm3d
do for [k in "1 2 4"] {
  set title sprintf("grade%s", k == 1 ? " 1" : sprintf("s 1 to %s", k))
  splot grid(int(k)) using (int($0) % columns):(-column(-1)):1 with pm3d
}
unset multiplot
