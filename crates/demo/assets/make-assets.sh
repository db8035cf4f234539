#!/bin/sh
# Makes the evidence of the demo's story in this folder. The results are committed; run this only
# to change them. Needs python3, ffmpeg with libx264 and drawtext, and the DejaVu fonts.
set -eu
cd "$(dirname "$0")"
python3 make-documents.py .

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
font=/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf

# The scene: a brick wall and a paved yard under one lamp above a steel door.
light='(0.30+0.95*exp(-((X-392)*(X-392)/52000+(Y-110)*(Y-110)/60000)))'
brick="(96+14*mod(floor(Y/11)*7+floor((X+14*mod(floor(Y/11)\,2))/28)*5\,3)-34*(lt(mod(Y\,11)\,1.5)+lt(mod(X+14*mod(floor(Y/11)\,2)\,28)\,1.5)))"
yard="(78+6*sin(X/9+Y*Y/900)+10*mod(floor((Y-262)/22)\,2))"
door="(128-26*(lt(mod(X-340\,104)\,5)+lt(mod(Y-116\,146)\,5))-16*between(X\,352\,432)*between(Y\,132\,176)-10*between(X\,352\,432)*between(Y\,190\,248))"
wall="if(gt(Y\,262)\,$yard\,if(between(X\,340\,444)*gt(Y\,116)\,$door\,$brick))"
lamp="if(between(X\,374\,410)*between(Y\,84\,96)\,250\,0)"
ffmpeg -v error -y -f lavfi -i "color=black:s=640x360,format=gray,geq=lum='max($lamp\,clip($light*($wall)\,0\,255))'" \
  -frames:v 1 "$work/scene.png"

# The figure: head, hooded body, legs that swing, and a bag; black with a soft edge.
gait='9*sin(N*0.9)'
body="max(max(lt(hypot(X-50\,(Y-30)*0.9)\,20)\,lt(hypot((X-50)*1.15\,(Y-92)*0.55)\,36))\,max(between(Y\,120\,204)*lt(abs(X-42-($gait)*(Y-120)/70)\,9)\,between(Y\,120\,204)*lt(abs(X-58+($gait)*(Y-120)/70)\,9)))"
bag="between(X\,74\,98)*between(Y\,118\,152)"
figure="color=black:s=110x210:r=15:d=9,format=yuva420p,geq=lum='16+8*lt(X\,46)':cb=128:cr=128:a='235*max($body\,$bag)',boxblur=2:1:2:1:2:1"

# It walks in from the left, stands at the door, works at it, and the door lights up its edge.
walk="if(lt(t\,4.5)\,-90+t*84\,288+3*sin(t*9))"
stamp='%{pts\:gmtime\:1704930061\:%Y-%m-%d  %H\\\:%M\\\:%S}'
ffmpeg -v error -y -loop 1 -framerate 15 -t 9 -i "$work/scene.png" -f lavfi -i "$figure" -filter_complex "
  [0:v]format=yuv420p[scene];
  [scene][1:v]overlay=x='$walk':y='116+2*abs(sin(t*6.7))*lt(t\,4.5)':eval=frame,
  noise=alls=7:allf=t,vignette=PI/5.6,eq=brightness=0.01:contrast=1.08,
  colorchannelmixer=rr=0.86:gg=1.0:bb=0.92,
  drawbox=x=0:y=0:w=640:h=24:color=black@0.55:t=fill,
  drawtext=fontfile=$font:text='CAM 2  REAR DOOR':x=10:y=6:fontsize=14:fontcolor=white,
  drawtext=fontfile=$font:text='$stamp':x=w-tw-10:y=6:fontsize=14:fontcolor=white,
  drawtext=fontfile=$font:text='REC':x=588:y=336:fontsize=13:fontcolor=white:enable='lt(mod(t\,1)\,0.6)',
  drawbox=x=574:y=338:w=9:h=9:color=red@0.9:t=fill:enable='lt(mod(t\,1)\,0.6)',
  drawtext=fontfile=$font:text='BRANDT HARDWARE (made up)':x=10:y=336:fontsize=12:fontcolor=white@0.75,
  format=yuv420p[out]" -map '[out]' -t 8 -r 15 -c:v libx264 -profile:v high -preset veryslow -crf 27 \
  -maxrate 360k -bufsize 720k -g 30 -movflags +faststart -map_metadata -1 -fflags +bitexact \
  -flags:v +bitexact -threads 1 door-camera.mp4
