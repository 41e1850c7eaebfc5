# Draws the errors by grade: gnuplot -c errors.gp <errors.txt> <picture.svg>

set terminal svg size 640,440 background "white"
set output ARG2
set title "What is left of the terrain"
set xlabel "grades"
set ylabel "relative squared error"
set xtics 1
set autoscale xfix
set offsets 0.2, 0.2
set logscale y
set format y "10^{%T}"
set grid ytics
plot ARG1 using 1:2 with linespoints lw 2 pt 7 lc rgb "#0072B2" title "training samples", \
     ARG1 using 1:3 with linespoints lw 2 pt 5 lc rgb "#D55E00" title "all samples"
